/**
 * Which tool call a delta belongs to. Providers tell their calls apart by index, by id, by both or by neither; each rule
 * here is the dialect of one that was met.
 */
import { isRecord, nonEmpty, type Json } from "../../base/json.ts";
import { JsonGuard } from "./json-guard.ts";

/** A call while its pieces come in. */
export interface ToolBlock {
  readonly kind: "tool";
  /** Its start was sent to the client. */
  opened: boolean;
  /** Checked by the guard, not yet sent. */
  pending: string;
  readonly guard: JsonGuard;
  readonly index: number | undefined;
  upstreamId: string | undefined;
  /** Gemini's `extra_content`, to come back with the call. */
  extra: Json | undefined;
  name: string | undefined;
  hasArguments: boolean;
}

export class ToolCalls {
  readonly #byIndex = new Map<number, ToolBlock>();
  readonly #byId = new Map<string, ToolBlock>();
  #last: ToolBlock | undefined;

  /** Puts a delta to its call, which it may begin. */
  take(entry: Json): { block: ToolBlock; isNew: boolean } {
    const fn = isRecord(entry["function"]) ? entry["function"] : {};
    const name = nonEmpty(fn["name"]);
    const raw = fn["arguments"];
    const piece = typeof raw === "string" ? raw : isRecord(raw) ? JSON.stringify(raw) : "";
    const found = this.#find(entry, name, piece);
    const block = found ?? this.#add(entry);
    block.name ??= name;
    block.upstreamId ??= nonEmpty(entry["id"]);
    if (isRecord(entry["extra_content"])) block.extra ??= entry["extra_content"];
    if (block.upstreamId !== undefined) this.#byId.set(block.upstreamId, block);
    if (piece !== "") {
      block.hasArguments = true;
      block.pending += block.guard.push(piece);
    }
    this.#last = block;
    return { block, isNew: found === undefined };
  }

  /** Of calls that came whole at the end: those whose arguments have not been seen, as deltas of what is there. */
  missing(calls: readonly Json[]): Json[] {
    return calls.flatMap((call, i) => {
      const known = this.#byId.get(nonEmpty(call["id"]) ?? "") ?? this.#byIndex.get(i);
      if (known?.hasArguments === true) return [];
      return known?.index === undefined ? [call] : [{ ...call, index: known.index }];
    });
  }

  /** The call a delta goes on with; undefined when it begins another. */
  #find(entry: Json, name: string | undefined, piece: string): ToolBlock | undefined {
    const id = nonEmpty(entry["id"]);
    const index = typeof entry["index"] === "number" ? entry["index"] : undefined;
    const atIndex = index === undefined ? this.#last : this.#byIndex.get(index);
    if (id !== undefined) {
      const known = this.#byId.get(id);
      if (known !== undefined) {
        // The same id at another place, with a name: a provider that gives all its calls one id.
        const another = name !== undefined && (index !== known.index || startsAnew(known, name, piece));
        return another ? undefined : known;
      }
      // The id may come late; another id at the same index is another call.
      return atIndex !== undefined && atIndex.upstreamId === undefined && !startsAnew(atIndex, name, piece)
        ? atIndex
        : undefined;
    }
    return atIndex !== undefined && startsAnew(atIndex, name, piece) ? undefined : atIndex;
  }

  #add(entry: Json): ToolBlock {
    const index = typeof entry["index"] === "number" ? entry["index"] : undefined;
    const block: ToolBlock = {
      kind: "tool",
      opened: false,
      pending: "",
      guard: new JsonGuard(),
      index,
      upstreamId: undefined,
      extra: undefined,
      name: undefined,
      hasArguments: false,
    };
    if (index !== undefined) this.#byIndex.set(index, block);
    return block;
  }
}

/**
 * Whether a delta without an id of its own begins another call at a place where one stands already: providers that send
 * each call whole number them all 0, providers that repeat the name with each piece do not mean a new call.
 */
function startsAnew(block: ToolBlock, name: string | undefined, piece: string): boolean {
  if (name === undefined || block.name === undefined) return false;
  if (name !== block.name) return true;
  return piece !== "" && block.hasArguments && block.guard.complete;
}
