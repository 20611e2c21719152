/** Reads what a newcomer's sentence asks for. Each function is pure; null means that it asks for something else. */

const POLITE =
  /^(?:(?:please|hey|hi|hello|ok|okay|now|then|can you|could you|would you|will you|i want you to|i'd like you to)[,:]?\s+)+/i;
/** A quoted text at the beginning, in any kind of quotes. */
const QUOTED = /^(?:"([^"]*)"|'([^']*)'|`([^`]+)`|“([^”]*)”|‘([^’]*)’)/;
const FILE = String.raw`"[^"\n]+"|'[^'\n]+'|\x60[^\x60\n]+\x60|“[^”\n]+”|[\w./@+~-]*[\w@+~-]`;
const FILE_WORDS = String.raw`(?:(?:an?|the|this|my)\s+)?(?:(?:new|empty|small|short)\s+)*(?:(?:text\s+)?file\s+)?(?:(?:called|named)\s+)?`;
const CREATE = new RegExp(
  String.raw`^(?:create|write|make|save|add|generate)\s+(?:me\s+)?(${FILE_WORDS})(${FILE})(?=$|[\s,:.])`,
  "i",
);
const CONTAINING =
  /^[\s,]*(?:(?:that|which)\s+)?(?:and\s+)?(?:containing|contains?|saying|says?|holding|holds?|reading|with(?:\s+(?:the|this))?(?:\s+(?:contents?|text|words?|line|message|body))?|whose\s+contents?\s+(?:is|are)|:)(?:\s+(?:the|this)\s+(?:contents?|text|words?|line|message))?\s*:?\s*/i;
const WRITE = /^(?:write|put|save|store|add)\s+(?:the\s+(?:text|words?|line)\s+)?/i;
/** A pattern of its own, because one pattern from "write" to the file takes cubic time in the length of the text. */
const INTO = new RegExp(String.raw`\s(?:to|into|in)\s+(${FILE_WORDS})(${FILE})\s?[.!?]?$`, "i");
const HELLO =
  /^(?:create|write|make|build|generate|code|give me|show me)\b(?:(?!\bcontaining\b|\bwith\b|\.\w).){0,40}\bhello[,\s-]*world\b!?(?:\s+(?:app(?:lication)?|program(?:me)?|script|example|project|in\s+\w+|with\s+\w+|using\s+\w+|for me|and run it|please|[.!]))*\s*$/i;
const RUN =
  /^(?:run|execute)\s+(?:(?:the\s+)?(?:following\s+)?(?:shell\s+|bash\s+)?command\s*:?\s+|this\s*:\s*)?([\s\S]+)$/i;
const NOT_A_COMMAND = /^(?:the|a|an|my|your|our|this|that|it|all|some|them)\b/i;
const LIST =
  /^(?:ls|dir|(?:list|show)(?:\s+me)?(?:\s+(?:all|every))?(?:\s+(?:of\s+)?(?:the|my|your))?\s+(?:files|folders?|director(?:y|ies)|files and (?:folders|directories))(?:\s+(?:contents?|listing))?|(?:what|which)\s+files\s+(?:are|do)\b(?:\s+(?:there|here|you\s+(?:have|see)))*)(?:\s+(?:(?:are\s+)?(?:in|of|under|inside)\s+)?(.+?))?\s*[.?!]?$/i;
const HERE =
  /^(?:here|there|\.|(?:the\s+)?(?:current|working|this|project)\s*(?:director(?:y|ies)|folder)?|(?:the|this|my|your)\s+(?:workspace|directory|folder|project)|workspace)$/i;
const READ = new RegExp(
  String.raw`^(?:read|show|cat|print|open|display|view|what(?:'s|’s|\s+is)\s+in)\s+(?:me\s+)?(?:(?:the\s+)?contents?\s+of\s+)?((?:(?:the|this|my)\s+)?(?:file\s+)?(?:called\s+|named\s+)?)(${FILE})(?:\s+(?:to\s+me|please|file))?\s*[.?!]?$`,
  "i",
);

/** A file to write. `content` is exactly the requested text, without an added line end. */
export interface FileRequest {
  readonly file: string;
  readonly content: string;
}

/** "create notes.txt containing hello", "write 'hello' to notes.txt", "make an empty file called a.txt". */
export function toFileRequest(prompt: string): FileRequest | null {
  const text = withoutManners(prompt);
  const create = CREATE.exec(text);
  if (create !== null) {
    const [all, words = "", file = ""] = create;
    if (isFile(words, file)) {
      const rest = text.slice(all.length);
      const containing = CONTAINING.exec(rest);
      if (containing !== null) return { file: unquoted(file), content: toContent(rest.slice(containing[0].length)) };
      if (/^[\s.!]*$/.test(rest)) return { file: unquoted(file), content: "" };
    }
  }
  const write = WRITE.exec(text);
  const into = INTO.exec(text);
  if (write === null || into === null || into.index < write[0].length) return null;
  const [, words = "", file = ""] = into;
  return isFile(words, file)
    ? { file: unquoted(file), content: toContent(text.slice(write[0].length, into.index)) }
    : null;
}

/** A hello world program, and the command that runs it. */
export interface HelloApp extends FileRequest {
  readonly command: string;
}

/** "create a hello world app", in the language that the prompt names, or in JavaScript. */
export function toHelloApp(prompt: string): HelloApp | null {
  const text = withoutManners(prompt);
  if (!HELLO.test(text)) return null;
  if (/\bpython\b/i.test(text))
    return { file: "hello.py", content: 'print("Hello, world!")\n', command: "python3 hello.py" };
  if (/\b(?:bash|shell)\b/i.test(text))
    return { file: "hello.sh", content: 'echo "Hello, world!"\n', command: "bash hello.sh" };
  return { file: "hello.js", content: 'console.log("Hello, world!");\n', command: "node hello.js" };
}

/** "run ls -la", "execute the command `date`". */
export function toCommand(prompt: string): string | null {
  const rest = RUN.exec(withoutManners(prompt))?.[1]?.trim();
  if (rest === undefined) return null;
  const fenced = /^```\w*\n([\s\S]*?)\n?```\s*$/.exec(rest)?.[1] ?? /^`([^`]+)`[\s.!]*$/.exec(rest)?.[1];
  if (fenced !== undefined) return fenced.trim() || null;
  // Removes only quotes around the whole command: those in `echo "a" "b"` belong to the shell.
  const whole = /^"([^"]+)"$/.exec(rest)?.[1] ?? /^'([^']+)'$/.exec(rest)?.[1] ?? rest;
  return NOT_A_COMMAND.test(whole) || !/[^\s"'`]/.test(whole) ? null : whole.trim();
}

/** "list files", "what files are there in src?"; `directory` is null for the working directory. */
export function toListing(prompt: string): { readonly directory: string | null } | null {
  const match = LIST.exec(withoutManners(prompt).replace(/\s+/g, " "));
  if (match === null) return null;
  const named = match[1]?.trim();
  if (named === undefined || HERE.test(named)) return { directory: null };
  const directory = unquoted(named.replace(/^the\s+/i, "").replace(/\s+(?:directory|folder)$/i, ""));
  return /^[^\s"'`]+$/.test(directory) ? { directory } : null;
}

/** "read notes.txt", "what is in the file notes?". */
export function toReading(prompt: string): string | null {
  const match = READ.exec(withoutManners(prompt));
  if (match === null) return null;
  const [, words = "", file = ""] = match;
  return isFile(words, file) ? unquoted(file) : null;
}

function withoutManners(prompt: string): string {
  return prompt.trim().replace(POLITE, "");
}

/** Whether a word is a file name: it looks like one, or the sentence says so. */
function isFile(words: string, file: string): boolean {
  return /\bfile\b|\bcalled\b|\bnamed\b/i.test(words) || /[./]/.test(file) || /^["'`“]/.test(file);
}

function unquoted(text: string): string {
  const match = QUOTED.exec(text);
  return match === null ? text : (match.slice(1).find((group) => group !== undefined) ?? text);
}

function toContent(text: string): string {
  const fenced = /^```\w*\n([\s\S]*?)\n?```\s*$/.exec(text.trim())?.[1];
  return fenced ?? unquoted(text.trim());
}
