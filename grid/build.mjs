// Makes the review grid: one module, one style sheet, and the licences of what went in. Nothing is fetched here.
import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "carecover", "notebook", "_grid");

await mkdir(target, { recursive: true });
const { metafile } = await build({
  entryPoints: [join(here, "src", "grid.js")],
  outfile: join(target, "grid.js"),
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
});
await writeFile(join(target, "grid.css"), await readFile(join(here, "src", "grid.css")));

const names = Object.keys(metafile.inputs)
  .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
  .filter(Boolean);
const parts = [];
for (const name of [...new Set(names)].sort()) {
  const place = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(place, "package.json"), "utf8"));
  const file = (await readdir(place)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} comes without a licence file: it cannot be passed on.`);
  parts.push(`${name} ${version} (${license})\n\n${(await readFile(join(place, file), "utf8")).trim()}\n`);
}
await writeFile(join(target, "LICENSES.txt"), parts.join("\n----\n\n"));
