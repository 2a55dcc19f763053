//! Two services on one PostgreSQL server, which the test starts and ends.
#![cfg(feature = "postgres")]

mod common;

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use common::*;
use pillion_signal::{
    metrics::StoreMetrics,
    share::Network,
    store::{Embedded, Entry, Key, Kind, Postgres, Store as _},
};

/// A PostgreSQL server of the test's own, on a Unix socket in its own folder.
struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let folder = tempfile::Builder::new()
            .prefix("pillion-pg")
            .tempdir_in("/tmp")
            .unwrap();
        let server = Server {
            programs: programs(),
            folder,
        };
        if rustix::process::geteuid().is_root() {
            // The server refuses to run as root.
            let (user, group) = nobody();
            std::os::unix::fs::chown(server.folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-A",
                "trust",
                "-U",
                "pillion",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
                &data,
            ],
        );
        server.up();
        server
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn up(&self) {
        let at = self.folder.path().display();
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{at}'");
        let log = self.folder.path().join("log").display().to_string();
        self.run(
            "pg_ctl",
            &[
                "-D",
                &self.data(),
                "-w",
                "-l",
                &log,
                "-o",
                &options,
                "start",
            ],
        );
    }

    fn down(&self) {
        self.run(
            "pg_ctl",
            &["-D", &self.data(), "-w", "-m", "immediate", "stop"],
        );
    }

    /// Where a service finds it: in a file, since a password may be in it.
    fn file(&self) -> String {
        let file = self.folder.path().join("connection");
        let at = self.folder.path().display();
        std::fs::write(&file, format!("host={at} user=pillion dbname=postgres\n")).unwrap();
        file.display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path());
        if rustix::process::geteuid().is_root() {
            let (user, group) = nobody();
            command.uid(user).gid(group);
        }
        // What it starts must not hold our pipes open.
        let said = self.folder.path().join("said");
        let out = std::fs::File::create(&said).unwrap();
        command.stderr(out.try_clone().unwrap()).stdout(out);
        let status = command.status().unwrap();
        let said = std::fs::read_to_string(said).unwrap();
        assert!(status.success(), "{program}: {said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

/// Debian keeps the server's programs out of PATH, in a folder for each version.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .map(|version| version.unwrap().path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
        .expect("PostgreSQL's server: run tests/setup, or install it")
}

/// The ids of `nobody`.
fn nobody() -> (u32, u32) {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let line = users
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .unwrap();
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}

#[tokio::test]
async fn two_services_on_one_server_answer_alike() {
    let server = Server::start();
    let file = server.file();
    let unused = tempfile::tempdir().unwrap();
    let flags = ["--postgres-file", file.as_str()];
    let first_service = Binary::start(&flags, unused.path());
    let second_service = Binary::start(&flags, unused.path());
    let (one, two) = (first_service.asker(), second_service.asker());

    let host = host(1);
    let first = numbered(&host, 10, b"first");
    let second = numbered(&host, 20, b"second");
    assert_eq!(one.publish(&host, &first).await.0, 204);
    assert_eq!(two.resolve(&host).await.as_ref(), Some(&first));
    assert_eq!(two.publish(&host, &second).await.0, 204);
    assert_eq!(one.resolve(&host).await.as_ref(), Some(&second));
    assert_eq!(one.publish(&host, &second).await.0, 204);
    assert_eq!(one.publish(&host, &first).await.0, 409);
    let end = tombstone(&host, now() + 1000);
    assert_eq!(one.delete(&path(&host), end).await.0, 204);
    assert_eq!(two.resolve(&host).await, None);
    assert_eq!(two.publish(&host, &second).await.0, 409);

    // Many at once, at both: the highest number wins.
    let raced = common::host(2);
    let mut racing = Vec::new();
    for seq in 1..=60u64 {
        let asker = if seq % 2 == 0 { &one } else { &two };
        let record = numbered(&raced, seq * 77 % 61, b"x");
        racing.push(async { asker.put(&path(&raced), record).await.0 });
    }
    let mut stored = 0;
    for status in join_all(racing).await {
        assert!(status == 204 || status == 409, "{status}");
        stored += u32::from(status == 204);
    }
    assert!(stored >= 1);
    let highest = numbered(&raced, 60, b"x");
    for asker in [&one, &two] {
        let kept = asker.resolve(&raced).await.unwrap();
        // Kind, version and id are before the number.
        assert_eq!(kept[34..42], highest[34..42]);
    }

    // The server crashes and comes back: what was acknowledged is there, and both go on.
    server.down();
    let refused = one.publish(&raced, &numbered(&raced, 70, b"x")).await;
    assert_eq!(refused.0, 503, "{}", refused.1);
    server.up();
    for asker in [&one, &two] {
        let kept = asker.resolve(&raced).await.unwrap();
        assert_eq!(kept[34..42], highest[34..42]);
    }
    assert_eq!(
        two.publish(&raced, &numbered(&raced, 70, b"x")).await.0,
        204
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connection");
    std::fs::write(&file, "host=/nowhere user=pillion password=tellnobody").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pillion-signal"))
        .args(["--listen", "127.0.0.1:0", "--postgres-file"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("PostgreSQL cannot be reached"), "{said}");
    assert!(!said.contains("tellnobody"), "{said}");
}

async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// The same records from the same networks, kept by both stores: each says the same, and the same are left.
#[tokio::test]
async fn both_stores_share_their_room_alike() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let connection = std::fs::read_to_string(server.file()).unwrap();
    const MOST: u64 = 60;
    let metrics = StoreMetrics::default;
    let postgres = Postgres::connect(connection.trim(), MOST, metrics())
        .await
        .unwrap();
    let embedded = Embedded::open(folder.path(), MOST, 1 << 20, metrics()).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let key = |n: u64| Key {
        kind: if n.is_multiple_of(3) {
            Kind::Link
        } else {
            Kind::Pkarr
        },
        id: [n as u8; 32],
    };
    let mut said = std::collections::BTreeMap::new();
    for step in 0..600u64 {
        let now = step / 100;
        let from: std::net::IpAddr = match next(4) {
            // First one address takes all it may have.
            _ if step < 30 => [10, 0, 0, 9].into(),
            0 => [10, 0, 0, next(4) as u8].into(),
            1 => [10, 0, 0, 9].into(),
            _ => {
                let [network, site, subnet] = [2, 2, 3].map(|below| next(below) as u16);
                [0x2001, 0xdb8, network, site << 8 | subnet, 0, 0, 0, 1].into()
            }
        };
        let entry = Entry {
            seq: next(4),
            expires: now + next(6),
            live: true,
            bytes: vec![next(2) as u8].into(),
        };
        let key = key(if step < 30 { step } else { next(120) });
        let from = Network::of(from);
        let one = embedded.put(key, entry.clone(), from, now).await;
        let other = postgres.put(key, entry, from, now).await;
        assert_eq!(one, other, "step {step}: {key:?} from {from:?}");
        *said.entry(format!("{one:?}")).or_insert(0) += 1;
        if step % 60 == 59 {
            assert_eq!(embedded.sweep(now).await, postgres.sweep(now).await);
        }
        assert_eq!(embedded.count().await, postgres.count().await);
    }
    for n in 0..120 {
        let (one, other) = (embedded.get(key(n), 0).await, postgres.get(key(n), 0).await);
        assert_eq!(one, other, "{n}");
    }
    // All that can be said was.
    assert!(said.len() >= 5, "{said:?}");
    assert_eq!(embedded.sweep(100).await, postgres.sweep(100).await);
    assert_eq!(
        (embedded.count().await, postgres.count().await),
        (Ok(0), Ok(0))
    );
}
