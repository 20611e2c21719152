/** Assertions that need no test runner: the conformance table also runs from the command line. */
export { default as assert } from "node:assert/strict";
