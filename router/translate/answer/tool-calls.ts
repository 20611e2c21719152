/**
 * Finds the tool call that a delta belongs to. Providers distinguish calls by index, by id, by both or by neither. Each
 * rule here is what some provider does.
 */
import { isRecord, nonEmpty, type Json } from "../../base/json.ts";
import { JsonGuard } from "./json-guard.ts";

/** A tool call whose pieces are arriving. */
export interface ToolBlock {
  readonly kind: "tool";
  /** True when its start was sent to the client. */
  opened: boolean;
  /** Arguments that the guard has passed but that are not yet sent. */
  pending: string;
  readonly guard: JsonGuard;
  readonly index: number | undefined;
  upstreamId: string | undefined;
  /** Gemini's `extra_content`, which must be returned with the call. */
  extra: Json | undefined;
  name: string | undefined;
  hasArguments: boolean;
}

/** The tool calls of one answer. */
export class ToolCalls {
  readonly #byIndex = new Map<number, ToolBlock>();
  readonly #byId = new Map<string, ToolBlock>();
  #last: ToolBlock | undefined;

  /** Adds a delta to its call, or begins a new call. */
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

  /** Among the complete calls in a last chunk, those whose arguments have not been streamed, in the form of deltas. */
  missing(calls: readonly Json[]): Json[] {
    return calls.flatMap((call, i) => {
      const known = this.#byId.get(nonEmpty(call["id"]) ?? "") ?? this.#byIndex.get(i);
      if (known?.hasArguments === true) return [];
      return known?.index === undefined ? [call] : [{ ...call, index: known.index }];
    });
  }

  /** The call that a delta continues; undefined when it begins another one. */
  #find(entry: Json, name: string | undefined, piece: string): ToolBlock | undefined {
    const id = nonEmpty(entry["id"]);
    const index = typeof entry["index"] === "number" ? entry["index"] : undefined;
    const atIndex = index === undefined ? this.#last : this.#byIndex.get(index);
    if (id !== undefined) {
      const known = this.#byId.get(id);
      if (known !== undefined) {
        // The same id with another index and a name: this provider gives all its calls one id.
        const another = name !== undefined && (index !== known.index || startsAnew(known, name, piece));
        return another ? undefined : known;
      }
      // The id may come late. Another id at the same index is another call.
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
 * Whether a delta begins another call at an index that is already in use. Providers that send each call in one piece
 * number them all 0. Providers that repeat the name with each piece do not mean a new call.
 */
function startsAnew(block: ToolBlock, name: string | undefined, piece: string): boolean {
  if (name === undefined || block.name === undefined) return false;
  if (name !== block.name) return true;
  return piece !== "" && block.hasArguments && block.guard.complete;
}
