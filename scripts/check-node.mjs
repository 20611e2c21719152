// npm scripts put Node 24 from the package `node` first on PATH, even if the machine's own Node is older. After an
// install with `--ignore-scripts` that package has no binary, and an older Node would fail later with an unclear error.
if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`Gantry needs Node 24, which \`npm install\` installs for it; this is ${process.version}.`);
  console.error(
    "Run `npm install` without --ignore-scripts, and start through `npm start`, `npm test` or `npm run ...`.",
  );
  process.exit(1);
}
