import { describe, expect, test } from "vitest";
import { toCommand, toFileRequest, toHelloApp, toListing, toReading } from "./phrases.ts";

describe("files to write", () => {
  const table: [prompt: string, file: string, content: string][] = [
    ["create notes.txt containing hello", "notes.txt", "hello"],
    ["Create a file notes.txt containing hello world", "notes.txt", "hello world"],
    ["Please create a file called notes.txt with the content 'hello world'", "notes.txt", "hello world"],
    ['create a new text file named "my notes.txt" that says "hi there"', "my notes.txt", "hi there"],
    ["create file a/b.md with text # Title", "a/b.md", "# Title"],
    ["make a file named README saying hello", "README", "hello"],
    ['write a file `x.json` containing {"a": 1}', "x.json", '{"a": 1}'],
    ["Create notes.txt with hello", "notes.txt", "hello"],
    ["Create notes.txt: hello", "notes.txt", "hello"],
    ["create notes.txt that contains the text: hello", "notes.txt", "hello"],
    ["create run.sh containing ```sh\necho 1\necho 2\n```", "run.sh", "echo 1\necho 2"],
    ["create a.txt containing two\nlines", "a.txt", "two\nlines"],
    ["write 'hello' to notes.txt", "notes.txt", "hello"],
    ["Can you write hello world into a file called notes.txt?", "notes.txt", "hello world"],
    ["put the text “hi” in notes.txt.", "notes.txt", "hi"],
    ["save hello to /tmp/x/notes", "/tmp/x/notes", "hello"],
    ["create an empty file called a.txt", "a.txt", ""],
    ["create .env containing A=1", ".env", "A=1"],
  ];
  test.each(table)("%s", (prompt, file, content) => {
    expect(toFileRequest(prompt)).toEqual({ file, content });
  });

  test.each([
    "create a poem containing love",
    "write a story",
    "create",
    "make me laugh",
    "save the date",
    "create a website with React",
  ])("no file: %s", (prompt) => {
    expect(toFileRequest(prompt)).toBeNull();
  });
});

describe("the hello world app", () => {
  test.each([
    ["create a hello world app", "hello.js"],
    ["Create a Hello, World! program", "hello.js"],
    ["write a simple hello-world script in python", "hello.py"],
    ["make me a bash hello world script", "hello.sh"],
    ["Build a hello world app with Node and run it", "hello.js"],
  ])("%s → %s", (prompt, file) => {
    expect(toHelloApp(prompt)?.file).toBe(file);
  });

  test.each(["hello world", "create hello.txt containing hello world", "say hello world"])("no app: %s", (prompt) => {
    expect(toHelloApp(prompt)).toBeNull();
  });
});

describe("commands", () => {
  test.each([
    ["run ls -la", "ls -la"],
    ["Run `npm test`.", "npm test"],
    ["please run the command: git status", "git status"],
    ["execute the following shell command: echo \"a\" 'b'", "echo \"a\" 'b'"],
    ['run "uname -a"', "uname -a"],
    ['run "echo" "b"', '"echo" "b"'],
    ["run echo hi; echo err >&2; exit 3", "echo hi; echo err >&2; exit 3"],
    ["run ```sh\necho 1\necho 2\n```", "echo 1\necho 2"],
    ["run test -f x", "test -f x"],
  ])("%s → %s", (prompt, command) => {
    expect(toCommand(prompt)).toBe(command);
  });

  test.each(["run", "run it", "run the tests", "running is healthy", "run ``"])("no command: %s", (prompt) => {
    expect(toCommand(prompt)).toBeNull();
  });
});

describe("listings", () => {
  test.each([
    ["list files", null],
    ["List the files", null],
    ["ls", null],
    ["show me all the files here", null],
    ["what files are there?", null],
    ["list the files in this directory", null],
    ["list files in src", "src"],
    ["list all files in the src directory", "src"],
    ["What files are in `a/b`?", "a/b"],
  ])("%s → %s", (prompt, directory) => {
    expect(toListing(prompt)).toEqual({ directory });
  });

  test.each(["list the reasons", "show me a joke", "lsof", "list files in a way that I like"])(
    "no listing: %s",
    (prompt) => {
      expect(toListing(prompt)).toBeNull();
    },
  );
});

describe("files to read", () => {
  test.each([
    ["read notes.txt", "notes.txt"],
    ["Show me the contents of src/a.ts", "src/a.ts"],
    ["cat package.json", "package.json"],
    ["read the file Makefile", "Makefile"],
    ["What is in notes.txt?", "notes.txt"],
    ['open "my notes.txt"', "my notes.txt"],
    ["please print /etc/hostname to me", "/etc/hostname"],
  ])("%s → %s", (prompt, file) => {
    expect(toReading(prompt)).toBe(file);
  });

  test.each(["read a book", "show me a joke", "what is in the box", "read my mind"])("no file: %s", (prompt) => {
    expect(toReading(prompt)).toBeNull();
  });
});

test("a long or repetitive prompt is handled quickly", () => {
  const hostile = [
    `write ${" ".repeat(9_900)}x`,
    `create ${"a".repeat(9_900)}(`,
    `make hello world${" app".repeat(2_400)}(`,
    `read ${"./".repeat(4_900)} x x`,
  ];
  const began = performance.now();
  for (const prompt of hostile) {
    toFileRequest(prompt);
    toHelloApp(prompt);
    toCommand(prompt);
    toListing(prompt);
    toReading(prompt);
  }
  expect(performance.now() - began).toBeLessThan(1_000);
});
