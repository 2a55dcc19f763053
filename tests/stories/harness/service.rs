//! The real link service, over TLS with a certificate of its own.

use std::{net::SocketAddr, os::unix::fs::DirBuilderExt, path::Path};

use pillion_signal::{Config, Tls};
use tokio::sync::oneshot;

use super::Machine;

/// One, listening on loopback. Ended with the test.
pub struct Service {
    url: String,
    dir: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Service {
    pub fn start() -> Service {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(dir.path().join("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let running = Running::on("127.0.0.1:0".parse().unwrap(), dir.path());
        Service {
            url: format!("https://{}", running.addr),
            dir,
            running: Some(running),
        }
    }

    /// Starts it again where it was, with nothing of what it was given: as when all that has expired.
    pub fn forget_everything(&mut self) {
        let addr = self.running.take().unwrap().end();
        std::fs::remove_dir_all(self.dir.path().join("data")).unwrap();
        self.running = Some(Running::on(addr, self.dir.path()));
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
        let ca = self.dir.path().join("ca.pem").display().to_string();
        std::fs::write(
            dir.join("config.toml"),
            format!("signal_ca = {ca:?}\n{more}"),
        )
        .unwrap();
    }
}

impl Running {
    fn on(listen: SocketAddr, dir: &Path) -> Running {
        let mut config = Config::new(listen, dir.join("data"));
        let tls = Tls::from_files(&dir.join("ca.pem"), &dir.join("key.pem"));
        config.tls = Some(tls.unwrap());
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
        Running {
            addr: address.recv().unwrap(),
            stop,
            thread,
        }
    }

    fn end(self) -> SocketAddr {
        drop(self.stop);
        let _ = self.thread.join();
        self.addr
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }
}
