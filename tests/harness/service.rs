//! The real link service, over TLS with a certificate of its own.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{os::unix::fs::DirBuilderExt, path::PathBuf};

use pillion_signal::{Config, Tls};
use tokio::sync::oneshot;

use super::harness::Machine;

/// One, listening on loopback. Ended with the test.
pub struct Service {
    url: String,
    ca: PathBuf,
    _dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    pub fn start() -> Service {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (ca, key) = (dir.path().join("ca.pem"), dir.path().join("key.pem"));
        std::fs::write(&ca, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let mut config = Config::new("127.0.0.1:0".parse().unwrap(), dir.path().join("data"));
        config.tls = Some(Tls::from_files(&ca, &key).unwrap());
        let (started, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let service = pillion_signal::Service::start(config).await.unwrap();
                started.send(service.addr()).unwrap();
                let _ = stopped.await;
                drop(service);
            });
        });
        let url = format!("https://{}", address.recv().unwrap());
        Service {
            url,
            ca,
            _dir: dir,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts it into a machine's settings.
    pub fn known_to(&self, machine: &Machine) {
        self.settings(machine, &format!("signal = {:?}\n", self.url));
    }

    /// Lets a machine trust its certificate, and nothing else.
    pub fn trusted_by(&self, machine: &Machine) {
        self.settings(machine, "");
    }

    fn settings(&self, machine: &Machine, more: &str) {
        let dir = machine.path("config/pillion");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .unwrap();
        let ca = self.ca.display().to_string();
        std::fs::write(
            dir.join("config.toml"),
            format!("signal_ca = {ca:?}\n{more}"),
        )
        .unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
