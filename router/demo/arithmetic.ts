/** Reads sums in a newcomer's words. It has its own parser, because a prompt is never evaluated as code. */

/** A sum. `expression` is the sum as understood; `value` is null for a division by zero. */
export interface Sum {
  readonly expression: string;
  readonly value: number | null;
}

const MAX_LENGTH = 200;
const LEAD =
  /^(?:(?:please|hey|hi|hello)[, ]+)*(?:what(?:'s|’s| is| are| does)|how much (?:is|are)|calculate|compute|evaluate|work out|solve|add up|tell me)?\s*/;
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/\bmultiplied by\b|\btimes\b|×|·|(?<=[\d)]\s*)x(?=\s*[\d(.-])/g, "*"],
  [/\bdivided by\b|\bover\b|÷/g, "/"],
  [/\bplus\b/g, "+"],
  [/\bminus\b|−|–/g, "-"],
];
const NUMBERS =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split(
    " ",
  );

/** Reads `text` as a sum. Null unless the whole text is one: "read 2 files", a bare number or a date is not. */
export function toSum(text: string): Sum | null {
  if (text.length > MAX_LENGTH) return null;
  let expression = text
    .toLowerCase()
    .trim()
    .replace(LEAD, "")
    .replace(/(?:\s*[=?.!]|\s+equals?\b|\s+please\b)+$/, "");
  for (const [word, operator] of WORDS) expression = expression.replace(word, operator);
  expression = expression.replace(/\b[a-z]+\b/g, (word) =>
    NUMBERS.includes(word) ? String(NUMBERS.indexOf(word)) : word,
  );
  expression = expression.replace(/(?<=\d),(?=\d{3}\b)/g, "").trim();
  const tokens = toTokens(expression);
  if (tokens === null || !tokens.slice(1).some((token) => /^[-+*/]$/.test(token))) return null;
  try {
    const value = new Parser(tokens).parse();
    // Twelve digits hide the binary rounding of 0.1 + 0.2.
    return { expression, value: Number.isFinite(value) ? Number(value.toPrecision(12)) : null };
  } catch {
    return null;
  }
}

function toTokens(expression: string): string[] | null {
  const tokens = expression.match(/\d+(?:\.\d+)?|\.\d+|[-+*/()]|\S/g) ?? [];
  // A leading zero means a date or a telephone number.
  return tokens.every((token) => /^(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+|[-+*/()])$/.test(token)) ? tokens : null;
}

/** Recursive descent: sum → product → factor. Throws on anything that is not a sum. */
class Parser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  parse(): number {
    const value = this.#sum();
    if (this.#at < this.#tokens.length) throw new Error("not a sum");
    return value;
  }

  #sum(): number {
    let value = this.#product();
    for (;;) {
      if (this.#take("+")) value += this.#product();
      else if (this.#take("-")) value -= this.#product();
      else return value;
    }
  }

  #product(): number {
    let value = this.#factor();
    for (;;) {
      if (this.#take("*")) value *= this.#factor();
      else if (this.#take("/")) value /= this.#factor();
      else return value;
    }
  }

  #factor(): number {
    if (this.#take("-")) return -this.#factor();
    if (this.#take("+")) return this.#factor();
    if (this.#take("(")) {
      const value = this.#sum();
      if (!this.#take(")")) throw new Error("no closing parenthesis");
      return value;
    }
    const token = this.#tokens[this.#at++];
    if (token === undefined || !/\d/.test(token)) throw new Error("not a number");
    return Number(token);
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }
}
