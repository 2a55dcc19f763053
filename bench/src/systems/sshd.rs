//! A private sshd on the host's side, and a client configuration that knows it. Nothing of the user's
//! own ssh configuration or keys is read.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{PATIENCE, which};
use crate::{
    net::{HOST, Side, World},
    terminal::Call,
};

/// Not the usual one: it is only within the bench's namespaces, but seen from a `ps` it should be plain.
const PORT: u16 = 22022;

/// A running sshd.
pub struct Sshd {
    child: Child,
    config: PathBuf,
}

impl Sshd {
    /// Makes keys, starts it and waits until it answers.
    ///
    /// # Errors
    /// No sshd, no `ssh-keygen`, or it does not come up.
    pub fn start(world: &World, dir: &Path) -> Result<Sshd> {
        let file = |name: &str| dir.join(name);
        for key in ["host_key", "user_key"] {
            let keygen = Call::new("ssh-keygen", dir)
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]);
            keygen.arg(file(key)).run(world, Side::Host)?;
        }
        fs::copy(file("user_key.pub"), file("authorized"))?;
        let host_key = fs::read_to_string(file("host_key.pub"))?;
        fs::write(file("known"), format!("[{HOST}]:{PORT} {host_key}"))?;
        fs::write(file("sshd_config"), server_config(dir))?;
        fs::write(file("ssh_config"), client_config(dir))?;
        let sshd = which("sshd").context("there is no sshd (Debian: openssh-server)")?;
        let log = file("sshd.log");
        let call = Call::new(sshd, dir)
            .args(["-D", "-e", "-f"])
            .arg(file("sshd_config"));
        let child = call.start(world, Side::Host, &log)?;
        let sshd = Sshd {
            child,
            config: file("ssh_config"),
        };
        let end = Instant::now() + PATIENCE;
        while world.within(Side::Host, || TcpStream::connect((HOST, PORT)).is_err())? {
            if Instant::now() > end {
                bail!(
                    "sshd does not come up: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(sshd)
    }

    /// The client's configuration; the host is called `host` in it.
    pub fn client_config(&self) -> &Path {
        &self.config
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server_config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Port {PORT}\nListenAddress {HOST}\nHostKey {dir}/host_key\nPidFile none\n\
         AuthorizedKeysFile {dir}/authorized\nStrictModes no\nPermitRootLogin prohibit-password\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\n\
         PrintMotd no\nPrintLastLog no\nMaxStartups 200\nAcceptEnv LANG LC_*\n\
         SetEnv HOME={dir} LC_ALL=C.UTF-8\n"
    )
}

fn client_config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Host host\nHostName {HOST}\nPort {PORT}\nUser root\nIdentityFile {dir}/user_key\n\
         IdentitiesOnly yes\nUserKnownHostsFile {dir}/known\nStrictHostKeyChecking yes\n\
         GlobalKnownHostsFile none\nUpdateHostKeys no\nPreferredAuthentications publickey\nLogLevel ERROR\n"
    )
}
