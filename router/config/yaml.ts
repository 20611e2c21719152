/** Where in a YAML text a value stands, so that a problem in the configuration can be pointed at. */
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";

export type Path = readonly (string | number)[];

/** Line and column count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlText {
  /** Plain value of the whole text; null when it is empty or cannot be read. */
  readonly value: unknown;
  /** Faults of the YAML itself: bad indentation, a key twice, an unknown anchor. */
  readonly faults: readonly (Place & { readonly message: string; readonly severity: "error" | "warning" })[];
  /** The key or list item at `path`, or the deepest part of it that exists. */
  locate(path: Path): Place;
  has(path: Path): boolean;
}

export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const fault = (severity: "error" | "warning") => (problem: { pos: [number, number]; message: string }) => ({
    ...placeOf(problem.pos[0]),
    message: problem.message,
    severity,
  });
  const faults = [...doc.errors.map(fault("error")), ...doc.warnings.map(fault("warning"))];
  let value: unknown = null;
  try {
    if (doc.errors.length === 0) value = doc.toJS();
  } catch (error) {
    // Anchors that multiply into more than anyone would write by hand.
    faults.push({ ...placeOf(0), message: error instanceof Error ? error.message : String(error), severity: "error" });
  }
  return {
    value,
    faults,
    locate: (path) => placeOf(offsetOf(doc, path)),
    has: (path) => doc.hasIn(path),
  };
}

function offsetOf(doc: Document, path: Path): number {
  let node: unknown = doc.contents;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) return offset;
      offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const item = node.items[step];
      if (item === undefined) return offset;
      offset = (item as { range?: [number, number, number] | null }).range?.[0] ?? offset;
      node = item;
    } else return offset;
  }
  return offset;
}
