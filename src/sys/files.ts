/**
 * The calls of node:fs that take a path, for paths that this thread gives to the kernel (`mount-view.ts`). What deals
 * with programs uses these: a program's path does not compile here before its view has been asked.
 */
import * as fs from "node:fs";
import type { OwnPath } from "./mount-view.ts";

interface ReadFile {
  (path: OwnPath, encoding: "utf8"): string;
  (path: OwnPath): Buffer;
}

interface ReadDirectory {
  (path: OwnPath): string[];
  (path: OwnPath | Buffer, encoding: "latin1"): string[];
  (path: OwnPath, options: { readonly withFileTypes: true }): fs.Dirent[];
}

interface Stat {
  (path: OwnPath): fs.Stats;
  (path: OwnPath | Buffer, options: { readonly bigint: true }): fs.BigIntStats;
  (path: OwnPath, options: { readonly throwIfNoEntry: false }): fs.Stats | undefined;
  (path: OwnPath, options: { readonly bigint: true; readonly throwIfNoEntry: false }): fs.BigIntStats | undefined;
}

export const readFileSync = fs.readFileSync as ReadFile;
export const readdirSync = fs.readdirSync as ReadDirectory;
export const statSync = fs.statSync as Stat;
export const lstatSync = fs.lstatSync as Stat;
export const existsSync: (path: OwnPath) => boolean = fs.existsSync;
export const readlinkSync: (path: OwnPath) => string = fs.readlinkSync;
export const openSync: (path: OwnPath, flags: number | "r" | "w") => number = fs.openSync;
export const opendirSync: (path: OwnPath) => fs.Dir = fs.opendirSync;
export const writeFileSync: (path: OwnPath, text: string) => void = fs.writeFileSync;
export const mkdirSync: (path: OwnPath, options?: number | fs.MakeDirectoryOptions) => void = fs.mkdirSync;
export const rmdirSync: (path: OwnPath) => void = fs.rmdirSync;
export const unlinkSync: (path: OwnPath) => void = fs.unlinkSync;
export const renameSync: (from: OwnPath, to: OwnPath) => void = fs.renameSync;
export const symlinkSync: (target: string, path: OwnPath) => void = fs.symlinkSync;
export const chmodSync: (path: OwnPath, mode: number) => void = fs.chmodSync;
export const chownSync: (path: OwnPath, uid: number, gid: number) => void = fs.chownSync;
export const utimesSync: (path: OwnPath, access: Date, modification: Date) => void = fs.utimesSync;
export const statfsSync: (path: OwnPath) => fs.StatsFs = fs.statfsSync;
export const realpathSync: (path: OwnPath) => string = fs.realpathSync;
export const rmSync: (path: OwnPath, options: fs.RmOptions) => void = fs.rmSync;
