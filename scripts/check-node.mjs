// npm scripts put the `node` package's Node 24 first on PATH, also where the machine's own is older. With
// `--ignore-scripts` that package has no binary, and the machine's Node would fail later and less clearly.
if (Number(process.versions.node.split(".")[0]) < 24) {
  console.error(`Gantry runs on Node 24, which \`npm install\` brings along; this is ${process.version}.`);
  console.error(
    "Run `npm install` without --ignore-scripts, and start through `npm start`, `npm test` or `npm run ...`.",
  );
  process.exit(1);
}
