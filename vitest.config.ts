import { defineConfig } from "vitest/config";

/** CI sets it: everything, with as many random histories as a change deserves. */
const heavy = process.env["GANTRY_HEAVY_TESTS"] === "1";

export default defineConfig({
  test: {
    // What runs in this process; user stories on the started product; stories in containers.
    projects: [
      {
        test: {
          name: "unit",
          include: ["{protocol,router,runner,worker,local,bench,scripts}/**/*.test.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          // Half of the time went into a new process for each file, and into loading the same modules in it.
          isolate: false,
          unstubEnvs: true,
          restoreMocks: true,
          maxWorkers: 2,
          // Random histories of the session's driver, unless the caller says how many.
          env: heavy || process.env["HISTORIES"] ? {} : { HISTORIES: "200" },
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: ["e2e/kit/build.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // A file starts a product of its own; what it imports may stay loaded for the next file.
          isolate: false,
          // The product and its engines are processes of their own: more files at once only slow each other down.
          maxWorkers: 3,
          // Load takes a minute and says nothing new after most changes: CI runs it.
          exclude: ["e2e/containers/**", ...(heavy ? [] : ["e2e/operations/load.test.ts"])],
          sequence: { groupOrder: 1 },
        },
      },
      {
        // Stories in real containers: needs Docker, and is not in `npm test`.
        test: {
          name: "containers",
          include: ["e2e/containers/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 600_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
