//! Working trees of every kind, taken and put elsewhere.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use pillion_bundle::{
    BundleError, BundleReader, BundleWriter, Limits, Manifest, Repository, Why, have, put, take,
};
use tempfile::TempDir;

const MAX: u64 = 1 << 30;

/// A folder with repositories in it.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> World {
        World {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A repository with two commits.
    fn repository(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        fs::write(path.join("a.txt"), "one\n").unwrap();
        fs::write(path.join("gone.txt"), "gone\n").unwrap();
        commit(&path, "first");
        fs::write(path.join("b.txt"), "two\n").unwrap();
        commit(&path, "second");
        path
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args([
            "-c",
            "user.name=Anna",
            "-c",
            "user.email=anna@site.example",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(args)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.trim_end().to_owned()
}

fn commit(folder: &Path, what: &str) {
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", what]);
}

fn status(folder: &Path) -> String {
    git(folder, &["status", "--porcelain=v1", "-uall"])
}

fn bundle(from: &Path, haves: &[String]) -> Vec<u8> {
    let taken = take(from, haves, Limits::default()).unwrap();
    let mut out = Vec::new();
    taken.write(&mut out).unwrap();
    out
}

fn unpack(bytes: &[u8], base: Option<&Path>, into: &Path) -> Result<String, BundleError> {
    let reader = BundleReader::begin(bytes)?;
    put(reader, base, into, "Tidy up", MAX, &mut |_| {}).map(|put| put.branch)
}

/// Every file of a folder but git's own, with what is in it.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let about = fs::symlink_metadata(&path).unwrap();
            match () {
                () if entry.file_name() == ".git" => {}
                () if about.is_symlink() => {
                    all.push((name, fs::read_link(&path).unwrap().display().to_string()));
                }
                () if about.is_dir() => folders.push(path),
                () => {
                    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                    all.push((
                        format!("{name} {:o}", about.permissions().mode() & 0o100),
                        text,
                    ));
                }
            }
        }
    }
    all.sort();
    all
}

/// Makes it dirty in every way.
fn make_dirty(path: &Path) {
    fs::write(path.join("a.txt"), "staged\n").unwrap();
    git(path, &["add", "a.txt"]);
    fs::write(path.join("a.txt"), "staged and changed\n").unwrap();
    fs::write(path.join("b.txt"), "changed\n").unwrap();
    fs::remove_file(path.join("gone.txt")).unwrap();
    fs::write(path.join("new.bin"), [0, 1, 2, 255]).unwrap();
    fs::create_dir_all(path.join("deep/er")).unwrap();
    fs::write(path.join("deep/er/run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(
        path.join("deep/er/run.sh"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    symlink("a.txt", path.join("link")).unwrap();
    fs::write(path.join("staged-new.txt"), "x\n").unwrap();
    git(path, &["add", "staged-new.txt"]);
    fs::write(path.join("with \"quotes\" and\ttab"), "q\n").unwrap();
}

#[test]
fn committed_staged_changed_and_untracked_arrive_as_what_they_were() {
    let world = World::new();
    let from = world.repository("site");
    make_dirty(&from);
    let before = (
        status(&from),
        files(&from),
        git(&from, &["rev-parse", "HEAD"]),
    );
    let objects = git(&from, &["count-objects", "-v"]);
    let into = world.path("fork");
    let branch = unpack(&bundle(&from, &[]), None, &into).unwrap();
    assert_eq!(branch, "pillion/tidy-up");
    assert_eq!(git(&into, &["branch", "--show-current"]), branch);
    assert_eq!(
        git(&into, &["diff", "--cached"]),
        git(&from, &["diff", "--cached"])
    );
    let after = (
        status(&into),
        files(&into),
        git(&into, &["rev-parse", "HEAD"]),
    );
    assert_eq!(after, before);
    assert_eq!(git(&into, &["log", "--format=%s"]), "second\nfirst");
    // Nothing was written where it comes from, and nothing lies about.
    assert_eq!((status(&from), files(&from)), (before.0, before.1));
    assert_eq!(git(&from, &["count-objects", "-v"]), objects);
    let beside = fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(beside, 2);
}

#[test]
fn what_the_other_side_has_does_not_travel() {
    let world = World::new();
    let from = world.repository("site");
    // Noise, which no compression makes small.
    let noise: String = (0..200_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    fs::write(from.join("large.txt"), &noise).unwrap();
    commit(&from, "large");
    let here = world.path("here");
    git(
        world.folder.path(),
        &[
            "clone",
            "-q",
            from.to_str().unwrap(),
            here.to_str().unwrap(),
        ],
    );
    git(
        &here,
        &[
            "remote",
            "set-url",
            "origin",
            "https://forge.example/site.git",
        ],
    );
    fs::write(from.join("a.txt"), "changed\n").unwrap();
    commit(&from, "third");
    fs::write(from.join("c.txt"), "untracked\n").unwrap();
    let all = bundle(&from, &[]);
    let thin = bundle(&from, &have(&here).unwrap());
    assert!(
        thin.len() < 10_000 && all.len() > 500_000,
        "{} {}",
        thin.len(),
        all.len()
    );
    let mine = (status(&here), git(&here, &["show-ref"]), files(&here));
    let into = world.path("fork");
    unpack(&thin, Some(&here), &into).unwrap();
    assert_eq!((status(&into), files(&into)), (status(&from), files(&from)));
    assert_eq!(
        git(&into, &["rev-parse", "HEAD"]),
        git(&from, &["rev-parse", "HEAD"])
    );
    assert_eq!(
        git(&into, &["remote", "get-url", "origin"]),
        "https://forge.example/site.git"
    );
    git(&into, &["fsck", "--full"]);
    // What was here is as it was.
    assert_eq!(
        (status(&here), git(&here, &["show-ref"]), files(&here)),
        mine
    );
    // Without it the bundle is of no use, and says so.
    let other = world.repository("other");
    for base in [None, Some(other.as_path())] {
        let refused = unpack(&thin, base, &world.path("none"));
        assert!(matches!(refused, Err(BundleError::NotHere)), "{refused:?}");
    }
    assert!(!world.path("none").exists());
}

#[test]
fn submodules_travel_with_what_is_changed_in_them() {
    let world = World::new();
    let library = world.repository("library");
    let from = world.repository("site");
    git(
        &from,
        &[
            "submodule",
            "--quiet",
            "add",
            library.to_str().unwrap(),
            "vendor/library",
        ],
    );
    commit(&from, "with a library");
    let within = from.join("vendor/library");
    fs::write(within.join("a.txt"), "changed in the library\n").unwrap();
    fs::write(within.join("new.txt"), "new in the library\n").unwrap();
    let into = world.path("fork");
    unpack(&bundle(&from, &[]), None, &into).unwrap();
    assert_eq!(files(&into), files(&from));
    assert_eq!(status(&into.join("vendor/library")), status(&within));
    assert_eq!(status(&into), status(&from));
}

#[test]
fn what_is_ignored_large_or_secret_stays_behind_and_is_listed() {
    let world = World::new();
    let from = world.repository("site");
    fs::write(from.join(".gitignore"), "target/\n").unwrap();
    commit(&from, "ignore");
    fs::create_dir(from.join("target")).unwrap();
    fs::write(from.join("target/out"), "12345").unwrap();
    fs::write(from.join(".env"), "TOKEN=1").unwrap();
    fs::write(from.join("large"), vec![b'x'; 2000]).unwrap();
    let limits = Limits {
        max_file: 1000,
        secrets: false,
    };
    let taken = take(&from, &[], limits).unwrap();
    let left = &taken.manifest.left_out;
    let mut left: Vec<(&str, u64, Why)> = left
        .iter()
        .map(|one| (one.path.as_str(), one.bytes, one.why))
        .collect();
    left.sort_by_key(|one| one.0);
    assert_eq!(
        left,
        [
            (".env", 7, Why::Secret),
            ("large", 2000, Why::TooLarge),
            ("target/", 5, Why::Ignored)
        ]
    );
    let mut out = Vec::new();
    taken.write(&mut out).unwrap();
    let into = world.path("fork");
    unpack(&out, None, &into).unwrap();
    assert!(
        !into.join(".env").exists()
            && !into.join("large").exists()
            && !into.join("target").exists()
    );
    assert_eq!(status(&into), "");
}

#[test]
fn heads_and_indexes_of_every_kind() {
    let world = World::new();
    // Before the first commit.
    let unborn = world.path("unborn");
    fs::create_dir(&unborn).unwrap();
    git(&unborn, &["init", "-q", "-b", "main"]);
    fs::write(unborn.join("a"), "a").unwrap();
    git(&unborn, &["add", "a"]);
    fs::write(unborn.join("b"), "b").unwrap();
    // A head that is detached.
    let detached = world.repository("detached");
    git(&detached, &["checkout", "-q", "HEAD~1"]);
    make_dirty_little(&detached);
    // A merge in conflict.
    let conflict = world.repository("conflict");
    git(&conflict, &["checkout", "-q", "-b", "other", "HEAD~1"]);
    fs::write(conflict.join("b.txt"), "another two\n").unwrap();
    commit(&conflict, "other");
    let merged = Command::new("git")
        .arg("-C")
        .arg(&conflict)
        .args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b.example",
            "merge",
            "-q",
            "main",
        ])
        .output();
    assert!(!merged.unwrap().status.success());
    // A shallow clone.
    let whole = world.repository("whole");
    let shallow = world.path("shallow");
    let url = format!("file://{}", whole.display());
    git(
        world.folder.path(),
        &[
            "clone",
            "-q",
            "--depth",
            "1",
            &url,
            shallow.to_str().unwrap(),
        ],
    );
    make_dirty_little(&shallow);
    for from in [&unborn, &detached, &conflict, &shallow] {
        let into = world.path(&format!(
            "{}-fork",
            from.file_name().unwrap().to_str().unwrap()
        ));
        unpack(&bundle(from, &[]), None, &into).unwrap_or_else(|error| panic!("{from:?}: {error}"));
        assert_eq!(files(&into), files(from), "{from:?}");
        if *from != conflict {
            assert_eq!(status(&into), status(from), "{from:?}");
        }
        git(&into, &["fsck"]);
    }
}

fn make_dirty_little(path: &Path) {
    fs::write(path.join("a.txt"), "changed\n").unwrap();
    fs::write(path.join("new.txt"), "new\n").unwrap();
}

#[test]
fn without_a_repository_there_is_no_code() {
    let folder = tempfile::tempdir().unwrap();
    let taken = take(folder.path(), &[], Limits::default()).unwrap();
    assert!(taken.manifest.repositories.is_empty());
    let mut out = Vec::new();
    taken.write(&mut out).unwrap();
    let into = folder.path().join("fork");
    unpack(&out, None, &into).unwrap();
    assert!(files(&into).is_empty());
}

#[test]
fn what_is_there_stays_and_what_fails_leaves_nothing() {
    let world = World::new();
    let from = world.repository("site");
    let bytes = bundle(&from, &[]);
    let there = world.path("there");
    fs::create_dir(&there).unwrap();
    fs::write(there.join("mine"), "mine").unwrap();
    for (into, bytes) in [
        (&there, &bytes[..]),
        (&world.path("cut"), &bytes[..bytes.len() - 40]),
        (&world.path("cut"), &bytes[..bytes.len() / 2]),
    ] {
        assert!(unpack(bytes, None, into).is_err());
    }
    assert_eq!(files(&there).len(), 1);
    let mut names: Vec<_> = fs::read_dir(world.folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["site", "there"]);
    // More than is wanted.
    let reader = BundleReader::begin(&bytes[..]).unwrap();
    let refused = put(reader, None, &world.path("cut"), "x", 10, &mut |_| {});
    assert!(
        matches!(refused, Err(BundleError::Hostile(_))),
        "{refused:?}"
    );
}

/// A bundle of trees that no git would make.
fn hostile(world: &World, entries: &[(&str, &str, &str)], more: &[Repository]) -> Vec<u8> {
    let at = world.repository("hostile");
    let mut tree = Vec::new();
    for (mode, name, content) in entries {
        let file = at.join("content");
        fs::write(&file, content).unwrap();
        let object = match *mode {
            "160000" => git(&at, &["rev-parse", "HEAD"]),
            _ => git(&at, &["hash-object", "-w", "content"]),
        };
        tree.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        let bytes = (0..20).map(|n| u8::from_str_radix(&object[2 * n..2 * n + 2], 16).unwrap());
        tree.extend(bytes);
    }
    fs::write(at.join("tree"), tree).unwrap();
    let tree = git(
        &at,
        &["hash-object", "-t", "tree", "--literally", "-w", "tree"],
    );
    let work = git(&at, &["commit-tree", &tree, "-m", "x"]);
    let first = Repository {
        work: work.clone(),
        head: work.clone(),
        ..Repository::default()
    };
    let manifest = Manifest {
        repositories: [&[first], more].concat(),
        ..Manifest::default()
    };
    let mut out = Vec::new();
    let mut writer = BundleWriter::begin(&mut out, &manifest).unwrap();
    for number in 0..manifest.repositories.len() {
        writer.repository(number).unwrap();
        fs::write(at.join("wanted"), format!("{work}\n")).unwrap();
        let pack = Command::new("sh")
            .arg("-c")
            .arg("git pack-objects --revs --stdout -q < wanted")
            .current_dir(&at)
            .output()
            .unwrap();
        writer.pack(&mut &pack.stdout[..]).unwrap();
    }
    writer.end().unwrap();
    out
}

#[test]
fn nothing_of_a_bundle_is_run_or_written_elsewhere() {
    for entries in [
        &[("40000", ".git", "x")][..],
        &[("100644", "..", "x")][..],
        &[("100644", ".git", "x")][..],
        &[("100644", ".GIT", "x")][..],
        &[("100644", "a/b", "x")][..],
        &[(
            "100644",
            ".gitmodules",
            "[submodule \"x\"]\npath = x\nurl = --upload-pack=evil\n",
        )][..],
    ] {
        let world = World::new();
        let bytes = hostile(&world, entries, &[]);
        let refused = unpack(&bytes, None, &world.path("fork"));
        assert!(
            matches!(refused, Err(BundleError::Hostile(_))),
            "{entries:?}: {refused:?}"
        );
        assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 1);
    }
    // A submodule behind a link.
    let world = World::new();
    let elsewhere = world.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let work = "0a".repeat(20);
    let path = "link/within".to_owned();
    let more = Repository {
        path,
        work,
        ..Repository::default()
    };
    let bytes = hostile(
        &world,
        &[("120000", "link", elsewhere.to_str().unwrap())],
        &[more],
    );
    let refused = unpack(&bytes, None, &world.path("fork"));
    assert!(
        matches!(refused, Err(BundleError::Hostile(_))),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn filters_hooks_and_templates_of_the_user_are_not_run_for_it() {
    let world = World::new();
    let from = world.repository("site");
    fs::write(from.join(".gitattributes"), "* filter=evil\n").unwrap();
    commit(&from, "attributes");
    let bytes = bundle(&from, &[]);
    let into = world.path("fork");
    // A process of its own: what it sees of the user's settings is in its environment.
    let ran = world.path("ran");
    let home = world.path("home");
    let hooks = home.join("template/hooks");
    fs::create_dir_all(&hooks).unwrap();
    fs::write(
        hooks.join("post-checkout"),
        format!("#!/bin/sh\ntouch {}\n", ran.display()),
    )
    .unwrap();
    fs::set_permissions(
        hooks.join("post-checkout"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let settings = format!(
        "[filter \"evil\"]\nsmudge = touch {0}\nclean = touch {0}\nrequired = true\n[core]\nhooksPath = {1}\n[init]\ntemplateDir = {2}\n",
        ran.display(),
        hooks.display(),
        home.join("template").display()
    );
    fs::write(home.join(".gitconfig"), settings).unwrap();
    fs::write(world.path("x.pillion"), &bytes).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "puts_a_bundle_for_another_test"])
        .env("HOME", &home)
        .env("BUNDLE", world.path("x.pillion"))
        .env("INTO", &into)
        .status()
        .unwrap();
    assert!(status.success());
    assert!(into.join("a.txt").exists());
    assert!(!ran.exists());
    assert!(!into.join(".git/hooks").exists());
}

#[test]
#[ignore = "a process that another test starts"]
fn puts_a_bundle_for_another_test() {
    let bytes = fs::read(std::env::var_os("BUNDLE").unwrap()).unwrap();
    let into = PathBuf::from(std::env::var_os("INTO").unwrap());
    unpack(&bytes, None, &into).unwrap();
}
