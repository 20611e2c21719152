import { describe, expect, it } from "vitest";
import { checkRepositoryUrl, repositoryName } from "./repository-url.ts";

const TRUSTED = ["127.0.0.1:7001"];

describe("address of a repository", () => {
  it.each([
    ["https://github.com/owner/repo", "https://github.com/owner/repo"],
    ["https://github.com/owner/repo.git", "https://github.com/owner/repo.git"],
    ["https://GitHub.com/owner/repo/", "https://github.com/owner/repo"],
    ["https://gitlab.example.org/a/b/c/repo", "https://gitlab.example.org/a/b/c/repo"],
    ["http://127.0.0.1:7001/repo.git", "http://127.0.0.1:7001/repo.git"],
  ])("%s is accepted", (text, url) => {
    expect(checkRepositoryUrl(text, TRUSTED)).toEqual({ ok: true, url });
  });

  it.each([
    "",
    "github.com/owner/repo",
    "git@github.com:owner/repo.git",
    "http://github.com/owner/repo",
    "file:///etc",
    "ext::sh -c id",
    "ssh://github.com/owner/repo",
    "git://github.com/owner/repo",
    "--upload-pack=id",
    "https://token@github.com/owner/repo",
    "https://user:token@github.com/owner/repo",
    "https://github.com/owner/repo?x=1",
    "https://github.com/owner/repo#x",
    "https://github.com:8443/owner/repo",
    "https://github.com/",
    "https://github.com/owner/..",
    "https://github.com/owner/-x",
    "https://127.0.0.1/repo",
    "https://2130706433/repo",
    "https://0x7f.1/repo",
    "https://0177.0.0.1/repo",
    "https://[::1]/repo",
    "https://[::ffff:7f00:1]/repo",
    "https://169.254.169.254/repo",
    "https://localhost/repo",
    "https://localhost./repo",
    "https://server/repo",
    "https://metadata.google.internal/repo",
    "https://printer.local/repo",
    "http://127.0.0.1:7002/repo",
    "https://github.com/owner/repo`id`",
    "https://github.com/owner/re po",
  ])("%s is refused", (text) => {
    expect(checkRepositoryUrl(text, TRUSTED)).toMatchObject({ ok: false });
  });

  it.each([
    ["https://github.com/owner/repo.git", "repo"],
    ["https://github.com/owner/.git", null],
    ["https://github.com/owner/%2e%2e", null],
  ])("%s has the name %s", (url, name) => expect(repositoryName(url)).toBe(name));
});
