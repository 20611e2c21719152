/** Finds the line and column of a value in a YAML text, for messages about problems in the configuration. */
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";

/** Keys and list indexes from the top of the text to a value. */
export type Path = readonly (string | number)[];

/** Line and column, both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A parsed YAML text. */
export interface YamlText {
  /** The whole text as a plain value; null when it is empty or cannot be parsed. */
  readonly value: unknown;
  /** Faults of the YAML itself: bad indentation, a duplicate key, an unknown anchor. */
  readonly faults: readonly (Position & { readonly message: string; readonly severity: "error" | "warning" })[];
  /** The key or list item at `path`, or the deepest part of it that exists. */
  locate(path: Path): Position;
  /** Whether the text has a value at `path`. */
  has(path: Path): boolean;
}

/** Parses `text`. Never throws: what is wrong with it is in `faults`. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const fault = (severity: "error" | "warning") => (problem: { pos: [number, number]; message: string }) => ({
    ...positionOf(problem.pos[0]),
    message: problem.message,
    severity,
  });
  const faults = [...doc.errors.map(fault("error")), ...doc.warnings.map(fault("warning"))];
  let value: unknown = null;
  try {
    if (doc.errors.length === 0) value = doc.toJS();
  } catch (error) {
    // Anchors that expand into far more text than a person would write.
    faults.push({
      ...positionOf(0),
      message: error instanceof Error ? error.message : String(error),
      severity: "error",
    });
  }
  return {
    value,
    faults,
    locate: (path) => positionOf(offsetOf(doc, path)),
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
