import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // What runs in this process; user stories on the started product; stories in containers.
    projects: [
      {
        test: {
          name: "unit",
          include: ["{protocol,router,runner,worker,local,bench}/**/*.test.ts"],
          testTimeout: 30_000,
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
          // Each file starts the whole product and engines of its own: more at once only make all slow.
          maxWorkers: 3,
          // Load takes a minute and says nothing new after most changes: CI runs it.
          exclude: ["e2e/containers/**", ...(process.env["GANTRY_HEAVY_TESTS"] ? [] : ["e2e/operations/load.test.ts"])],
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
