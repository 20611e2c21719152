/**
 * Turns tool arguments, as models really write them, into one valid JSON object while they stream.
 *
 * A client that gets broken JSON for a tool's input fails the whole turn. The guard passes on every certain prefix of a
 * valid object and holds back what may still go wrong (a comma, a number, half an escape). It repairs faults with only one
 * meaning (raw line breaks in strings, a trailing comma, `True`) and closes what was left open. An input that it had to
 * cut is marked with `MALFORMED`, so that a tool with a strict schema refuses it instead of acting on half an input.
 */
import { isRecord, parseJson } from "../../base/json.ts";

/** Key added to an input that had to be cut or made up. */
export const MALFORMED = "__malformed_arguments";

const START = 0; // nothing but white space so far
const FIRST = 1; // after the outermost `{`, which is still held back
const EMPTY = 2; // `{}`; some providers send it first and the real object afterwards
const KEY_OR_END = 3;
const KEY = 4; // after a comma in an object
const COLON = 5;
const VALUE = 6;
const VALUE_OR_END = 7;
const STRING = 8;
const ESCAPE = 9;
const UNICODE = 10;
const WORD = 11; // a number or a literal, held until it ends
const AFTER_VALUE = 12;
const DONE = 13;
const FOREIGN = 14; // does not begin with `{`; kept until the end

const QUOTE = 34;
const COMMA = 44;
const COLON_CHAR = 58;
const OPEN_ARRAY = 91;
const BACKSLASH = 92;
const CLOSE_ARRAY = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const LITERALS: Readonly<Record<string, string>> = {
  true: "true",
  false: "false",
  null: "null",
  True: "true",
  False: "false",
  None: "null",
};

/** Most characters kept of arguments that are not JSON at all. */
const RAW_LIMIT = 2000;

const TAKEN = { out: "", taken: true } as const;
const AGAIN = { out: "", taken: false } as const;

/** Guards the arguments of one tool call. */
export class JsonGuard {
  #state = START;
  /** Closers still to come, innermost last. */
  #closers = "";
  #inKey = false;
  /** A comma with the white space around it. It is written only when something follows. */
  #comma = "";
  #held = "";
  #broken = false;

  /** True when the object is complete and nothing can change it any more. */
  get complete(): boolean {
    return this.#state === DONE || this.#state === EMPTY;
  }

  /** Takes the next piece of the arguments and returns the text to pass on. All such text is a prefix of a valid object. */
  push(piece: string): string {
    let out = "";
    let i = 0;
    while (i < piece.length && !this.#broken) {
      if (this.#state === STRING) {
        const from = i;
        let code = piece.charCodeAt(i);
        while (i < piece.length && code >= 32 && code !== QUOTE && code !== BACKSLASH) code = piece.charCodeAt(++i);
        if (i > from) out += piece.slice(from, i);
        if (i === piece.length) break;
        i++;
        if (code === QUOTE) {
          out += '"';
          this.#state = this.#inKey ? COLON : AFTER_VALUE;
        } else if (code === BACKSLASH) this.#state = ESCAPE;
        else out += controlEscape(code);
      } else if (this.#state === FOREIGN) {
        this.#held += piece.slice(i);
        break;
      } else {
        const step = this.#step(piece.charAt(i), piece.charCodeAt(i));
        out += step.out;
        if (step.taken) i++;
      }
    }
    return out;
  }

  /**
   * The text that completes the object; `{}` when nothing came. With `cut`, an unfinished object stays open, as it does
   * at Anthropic when a tool call runs into the token limit.
   */
  end(options: { cut?: boolean } = {}): string {
    const state = this.#state;
    this.#state = DONE;
    if (state === DONE) return "";
    if (state === START || state === EMPTY) return "{}";
    if (state === FOREIGN) return foreignObject(this.#held);
    if (options.cut === true && !this.#broken) return state === FIRST ? this.#held : "";
    if (state === FIRST) return `{"${MALFORMED}":true}`;
    const value = this.#completion(state);
    // Innermost first. After FIRST the outermost object has a member, so the mark needs a comma before it.
    const inner = Array.from(this.#closers).slice(1).toReversed().join("");
    return `${value}${inner},"${MALFORMED}":true}`;
  }

  /** The rest of the token that was being read. */
  #completion(state: number): string {
    switch (state) {
      case STRING:
      case ESCAPE:
      case UNICODE:
        return this.#inKey ? '":null' : '"';
      case COLON:
        return ":null";
      case VALUE:
        return this.#closers.at(-1) === "}" ? "null" : "";
      case WORD:
        return this.#takeWord();
      default:
        return "";
    }
  }

  /** Handles one character outside a string's body. `taken: false` means that the new state must handle it again. */
  #step(char: string, code: number): { out: string; taken: boolean } {
    const space = code === 32 || code === 10 || code === 13 || code === 9;
    switch (this.#state) {
      case START:
        if (space) return TAKEN;
        this.#state = code === OPEN_OBJECT ? FIRST : FOREIGN;
        if (code !== OPEN_OBJECT) return AGAIN;
        this.#held = char;
        return TAKEN;
      case FIRST:
        if (space) this.#held += char;
        else if (code === QUOTE) {
          this.#closers = "}";
          return this.#openString(true, this.#takeHeld());
        } else if (code === CLOSE_OBJECT) {
          this.#held = "";
          this.#state = EMPTY;
        } else this.#broken = true;
        return TAKEN;
      case EMPTY:
        if (code === OPEN_OBJECT) {
          this.#state = FIRST;
          this.#held = char;
        }
        return TAKEN;
      case KEY_OR_END:
      case KEY:
        if (space) return this.#space(char);
        if (code === QUOTE) return this.#openString(true, this.#takeComma());
        if (code === CLOSE_OBJECT) return this.#close(char);
        break;
      case COLON:
        if (space) return { out: char, taken: true };
        if (code !== COLON_CHAR) break;
        this.#state = VALUE;
        return { out: char, taken: true };
      case VALUE:
      case VALUE_OR_END:
        if (space) return this.#space(char);
        return this.#value(char, code);
      case ESCAPE:
        return this.#escape(char, code);
      case UNICODE:
        return this.#unicode(char);
      case WORD:
        if (/[\w+.-]/.test(char)) {
          this.#held += char;
          return TAKEN;
        }
        this.#state = AFTER_VALUE;
        return { out: this.#takeWord(), taken: false };
      case AFTER_VALUE:
        if (space) return { out: char, taken: true };
        if (code === COMMA) {
          this.#comma = char;
          this.#state = this.#closers.at(-1) === "}" ? KEY : VALUE;
          return TAKEN;
        }
        if (char === this.#closers.at(-1)) return this.#close(char);
        break;
      default: // DONE: anything after the object is noise
        return TAKEN;
    }
    this.#broken = true;
    return TAKEN;
  }

  #value(char: string, code: number): { out: string; taken: boolean } {
    if (code === CLOSE_ARRAY && this.#closers.at(-1) === "]") return this.#close(char);
    const comma = this.#takeComma();
    if (code === QUOTE) return this.#openString(false, comma);
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      this.#closers += code === OPEN_OBJECT ? "}" : "]";
      this.#state = code === OPEN_OBJECT ? KEY_OR_END : VALUE_OR_END;
      return { out: comma + char, taken: true };
    }
    if (/[\w+.-]/.test(char)) {
      this.#held = char;
      this.#state = WORD;
      return { out: comma, taken: true };
    }
    this.#broken = true;
    // The comma has been written, so a value must follow it.
    if (comma !== "") {
      this.#state = AFTER_VALUE;
      return { out: `${comma}null`, taken: true };
    }
    this.#state = this.#state === VALUE_OR_END ? AFTER_VALUE : VALUE;
    return TAKEN;
  }

  #openString(key: boolean, before: string): { out: string; taken: boolean } {
    this.#inKey = key;
    this.#state = STRING;
    return { out: `${before}"`, taken: true };
  }

  /** Handles a closing bracket. A comma before it is superfluous and dropped. */
  #close(char: string): { out: string; taken: boolean } {
    this.#comma = "";
    this.#closers = this.#closers.slice(0, -1);
    this.#state = this.#closers === "" ? DONE : AFTER_VALUE;
    return { out: char, taken: true };
  }

  #space(char: string): { out: string; taken: boolean } {
    if (this.#comma === "") return { out: char, taken: true };
    this.#comma += char;
    return TAKEN;
  }

  #escape(char: string, code: number): { out: string; taken: boolean } {
    if (char === "u") {
      this.#held = "\\u";
      this.#state = UNICODE;
      return TAKEN;
    }
    this.#state = STRING;
    if (code === QUOTE || code === BACKSLASH || "/bfnrt".includes(char)) return { out: `\\${char}`, taken: true };
    // The model forgot to escape a `\d` of a regular expression; it meant the backslash.
    return { out: "\\\\", taken: false };
  }

  #unicode(char: string): { out: string; taken: boolean } {
    if (/[\da-fA-F]/.test(char)) {
      this.#held += char;
      if (this.#held.length < 6) return TAKEN;
      this.#state = STRING;
      return { out: this.#takeHeld(), taken: true };
    }
    this.#state = STRING;
    return { out: `\\${this.#takeHeld()}`, taken: false };
  }

  #takeHeld(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  #takeComma(): string {
    const comma = this.#comma;
    this.#comma = "";
    return comma;
  }

  #takeWord(): string {
    const word = this.#takeHeld();
    if (NUMBER.test(word)) return word;
    const literal = LITERALS[word];
    if (literal !== undefined) return literal;
    const number = Number(word);
    return Number.isFinite(number) ? String(number) : "null";
  }
}

function controlEscape(code: number): string {
  if (code === 10) return "\\n";
  if (code === 13) return "\\r";
  if (code === 9) return "\\t";
  return `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Arguments that are not an object: a JSON string that contains one, `null`, or text that is not JSON. */
function foreignObject(text: string): string {
  const value = parseJson(text);
  if (value === null) return "{}";
  if (typeof value === "string") {
    if (value.trim() === "") return "{}";
    const inner = parseJson(value);
    if (isRecord(inner)) return JSON.stringify(inner);
  }
  return JSON.stringify({ [MALFORMED]: text.slice(0, RAW_LIMIT) });
}

/** The input for complete arguments. Always an object. */
export function toolInput(args: unknown): Record<string, unknown> {
  if (isRecord(args)) return args;
  if (typeof args !== "string") return {};
  const parsed = parseJson(args);
  if (isRecord(parsed)) return parsed;
  const guard = new JsonGuard();
  const repaired = parseJson(guard.push(args) + guard.end());
  return isRecord(repaired) ? repaired : {};
}
