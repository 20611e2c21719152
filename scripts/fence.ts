import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { Visitor, parseSync } from "oxc-parser";
import { circles } from "./circles.ts";
import { FILES_IN_A_FOLDER, LOOSE, TEST_FOLDERS } from "./rooms.ts";

/** An import of one file by another, or of a package. `typeOnly` when nothing of it is left at run time. */
interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

/** What `ROOMS` in `rooms.ts` explains. */
export type Rooms = Record<string, readonly string[]>;

/**
 * Every way in which the sources below `root` break the table: imports that it does not allow, circles of files and of
 * folders (types count), full folders, folders in no room. One text each, for people; empty when all is well.
 */
export function fence(root: string, rooms: Rooms): { files: number; findings: string[] } {
  const files = Object.keys(rooms)
    .filter((room) => !room.includes("/"))
    .flatMap((room) => sources(root, room));
  const imports = files.flatMap((file) => importsOf(root, file));
  return {
    files: files.length,
    findings: [
      ...files.flatMap((file) => homeless(file, rooms)),
      ...imports.flatMap((one) => forbidden(one, rooms)),
      ...circlesOfFiles(imports, new Set(files)),
      ...circlesOfFolders(imports, new Set(files)),
      ...fullFolders(files),
    ],
  };
}

const SKIPPED = ["node_modules", "samples", ...TEST_FOLDERS];

function sources(root: string, folder: string): string[] {
  return entries(join(root, folder)).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.includes(entry.name) ? [] : sources(root, path);
    return /\.m?ts$|\.mjs$/.test(path) && !isTest(path) && !path.endsWith(".d.ts") ? [path] : [];
  });
}

function entries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.name.startsWith("."));
  } catch {
    return []; // A package that the table names and that is not there yet.
  }
}

function isTest(path: string): boolean {
  return path.endsWith(".test.ts") || TEST_FOLDERS.some((folder) => path.includes(`/${folder}/`));
}

function importsOf(root: string, file: string): Import[] {
  const { program, module, errors } = parseSync(file, readFileSync(join(root, file), "utf8"));
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean): void => {
    const to = specifier.startsWith(".")
      ? normalize(join(dirname(file), specifier))
      : specifier.replace(/^@gantry\//, "");
    found.push({ from: file, to, typeOnly });
  };
  const onlyTypes = (parts: { isType: boolean }[]): boolean => parts.length > 0 && parts.every(({ isType }) => isType);
  for (const one of module.staticImports) add(one.moduleRequest.value, onlyTypes(one.entries));
  for (const { entries } of module.staticExports) {
    const source = entries[0]?.moduleRequest?.value;
    if (source !== undefined) add(source, onlyTypes(entries));
  }
  new Visitor({
    ImportExpression: ({ source }) => {
      if (source.type === "Literal" && typeof source.value === "string") add(source.value, false);
    },
    TSImportType: ({ source }) => add(source.value, true),
  }).visit(program);
  return found;
}

/** The folder whose line in the table counts for `path`. */
function roomOf(path: string, rooms: Rooms): string | undefined {
  return Object.keys(rooms)
    .filter((room) => !isFile(room) && within(path, room))
    .sort((a, b) => b.length - a.length)[0];
}

const isFile = (room: string): boolean => /\.\w+$/.test(room);

function within(path: string, room: string): boolean {
  return path === room || path.startsWith(`${room}/`) || (room.endsWith(":*") && path.startsWith(room.slice(0, -1)));
}

function homeless(file: string, rooms: Rooms): string[] {
  const room = roomOf(file, rooms);
  if (room === undefined || dirname(file) === room) return [];
  const hasRooms = Object.keys(rooms).some((other) => other.startsWith(`${room}/`) && !isFile(other));
  return hasRooms ? [`${file} is in no room of ${room}/: give its folder a line in scripts/rooms.ts`] : [];
}

function forbidden({ from, to, typeOnly }: Import, rooms: Rooms): string[] {
  const room = roomOf(from, rooms);
  const allowed = [...(rooms[room ?? ""] ?? []), ...(rooms[from] ?? [])];
  if (room === undefined || allowed.includes("*") || isData(to)) return [];
  if (isTest(to)) return [`${from} imports ${to}: only tests import what tests are made of`];
  if (roomOf(to, rooms) === room || allowed.some((name) => within(to, name))) return [];
  if (typeOnly && allowed.some((name) => name.startsWith("type ") && within(to, name.slice(5)))) return [];
  const kind = typeOnly ? "imports a type of" : "imports";
  return [`${from} ${kind} ${to}: ${room} may import ${allowed.join(", ") || "nothing"}`];
}

const isData = (path: string): boolean => /\.(json|jsonc|yaml|md|html|css|txt|js)$/.test(path) && !path.startsWith("@");

function circlesOfFiles(imports: Import[], files: ReadonlySet<string>): string[] {
  const edges = imports.filter(({ to }) => files.has(to));
  return circles(edges).map((circle) => {
    const steps = circle.map((file, at) => {
      const next = circle[(at + 1) % circle.length];
      const types = edges.filter(({ from, to }) => from === file && to === next).every(({ typeOnly }) => typeOnly);
      return `\n  ${file} -> ${next}${types ? " (types)" : ""}`;
    });
    return `A circle of ${circle.length} files:${steps.join("")}`;
  });
}

function circlesOfFolders(imports: Import[], files: ReadonlySet<string>): string[] {
  const edges = imports
    .filter(({ from, to }) => files.has(to) && !LOOSE.some((folder) => within(from, folder)))
    .map(({ from, to }) => ({ from: dirname(from), to: dirname(to), by: `${from} imports ${to}` }))
    .filter(({ from, to }) => from !== to);
  return circles(edges).map((circle) => {
    const steps = circle.map((folder, at) => {
      const next = circle[(at + 1) % circle.length];
      const ties = edges.filter(({ from, to }) => from === folder && to === next).map(({ by }) => by);
      return `\n  ${folder}/ -> ${next}/: ${ties[0]}${ties.length > 1 ? `, and ${ties.length - 1} more` : ""}`;
    });
    return `A circle of ${circle.length} folders:${steps.join("")}`;
  });
}

function fullFolders(files: string[]): string[] {
  const counts = new Map<string, number>();
  for (const file of files) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count > FILES_IN_A_FOLDER)
    .map(([folder, count]) => `${folder}/ has ${count} source files beside each other, more than ${FILES_IN_A_FOLDER}`);
}
