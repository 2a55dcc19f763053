//! A real ssh-agent and real key files sign claims.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_people::{SshKey, Trust, Who, verify};
use pillion_prove::ssh::{Choice, Places, SshError, claim};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// An ssh-agent of its own, ended with the test.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path) -> Agent {
        let socket = dir.join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent is there (tests/setup installs it)");
        let end = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(Instant::now() < end, "ssh-agent listens");
            std::thread::yield_now();
        }
        Agent { process, socket }
    }

    fn add(&self, key: &Path) {
        ssh_add(self, &[key.as_os_str()]);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ssh_add(agent: &Agent, args: &[&std::ffi::OsStr]) {
    let done = Command::new("ssh-add")
        .args(args)
        .env("SSH_AUTH_SOCK", &agent.socket)
        .stderr(Stdio::null())
        .status();
    assert!(done.unwrap().success(), "{args:?}");
}

fn keygen(path: &Path, kind: &str, passphrase: &str) -> String {
    let done = Command::new("ssh-keygen")
        .args([
            "-q",
            "-t",
            kind,
            "-N",
            passphrase,
            "-C",
            "anna@laptop",
            "-f",
        ])
        .arg(path)
        .status();
    assert!(done.unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap()
}

fn identity() -> PublicKey {
    SecretKey::from_bytes(&[1; 32]).public()
}

fn session() -> PublicKey {
    SecretKey::from_bytes(&[2; 32]).public()
}

/// Who the claim that is made so proves to be; checked as a host does.
async fn proves(choice: &Choice, places: &Places) -> Result<Who, SshError> {
    let claim = claim(choice, places, &identity(), &session(), NOW).await?;
    let bytes = claim.to_bytes();
    let trust = Trust::default();
    assert!(verify(&bytes, &session(), &session(), NOW, &trust).is_err());
    Ok(verify(&bytes, &identity(), &session(), NOW, &trust).unwrap())
}

fn who(line: &str) -> Who {
    Who::Ssh(line.parse::<SshKey>().unwrap())
}

#[tokio::test]
async fn an_agent_signs_with_its_only_key_and_asks_which_of_several() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path());
    let places = Places {
        agent: Some(agent.socket.clone()),
        folder: None,
    };
    let none = proves(&Choice::Any, &places).await.unwrap_err();
    assert!(matches!(none, SshError::None), "{none}");

    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let line_one = keygen(&one, "ed25519", "");
    let rsa = dir.path().join("rsa");
    keygen(&rsa, "rsa", "");
    agent.add(&one);
    agent.add(&rsa);
    assert_eq!(proves(&Choice::Any, &places).await.unwrap(), who(&line_one));

    let line_two = keygen(&two, "ed25519", "");
    agent.add(&two);
    let text = proves(&Choice::Any, &places).await.unwrap_err().to_string();
    let key_two: SshKey = line_two.parse().unwrap();
    assert!(text.contains(&key_two.fingerprint()), "{text}");
    for name in [key_two.fingerprint(), line_two.trim().to_owned()] {
        let choice = Choice::read(&name);
        assert_eq!(proves(&choice, &places).await.unwrap(), who(&line_two));
    }
    let text = proves(&Choice::read("SHA256:other"), &places).await;
    let text = text.unwrap_err().to_string();
    assert!(text.contains("ssh-add"), "{text}");
}

#[tokio::test]
async fn an_agent_that_is_locked_or_gone_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Agent::start(dir.path());
    let key = dir.path().join("key");
    let line = keygen(&key, "ed25519", "");
    agent.add(&key);
    let places = Places {
        agent: Some(agent.socket.clone()),
        folder: None,
    };
    assert_eq!(proves(&Choice::Any, &places).await.unwrap(), who(&line));
    // It confirms each use with a program that says no.
    ssh_add(&agent, &["-D".as_ref()]);
    ssh_add(&agent, &["-c".as_ref(), key.as_os_str()]);
    let refused = proves(&Choice::Any, &places).await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    drop(agent);
    let gone = proves(&Choice::Any, &places).await.unwrap_err();
    assert!(matches!(gone, SshError::Socket { .. }), "{gone}");
}

#[tokio::test]
async fn a_key_file_signs_and_an_encrypted_one_says_to_ask_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places {
        agent: None,
        folder: Some(dir.path().to_owned()),
    };
    let none = proves(&Choice::Any, &places).await.unwrap_err();
    assert!(none.to_string().contains("ssh-keygen"), "{none}");
    let usual = dir.path().join("id_ed25519");
    let line = keygen(&usual, "ed25519", "");
    assert_eq!(proves(&Choice::Any, &places).await.unwrap(), who(&line));
    let choice = Choice::read(usual.to_str().unwrap());
    assert_eq!(proves(&choice, &places).await.unwrap(), who(&line));

    let locked = dir.path().join("locked");
    keygen(&locked, "ed25519", "a passphrase");
    let text = proves(&Choice::File(locked), &places).await.unwrap_err();
    assert!(text.to_string().contains("ssh-add"), "{text}");
    let rsa = dir.path().join("rsa");
    keygen(&rsa, "rsa", "");
    let text = proves(&Choice::File(rsa), &places).await.unwrap_err();
    assert!(text.to_string().contains("another kind"), "{text}");
}

#[tokio::test]
async fn ssh_keygen_takes_what_we_sign_and_we_take_what_it_signs() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    let line = keygen(&key, "ed25519", "");
    let expires = NOW.saturating_add(1000);
    let message = pillion_people::SshClaim::message(&identity(), &session(), expires);
    let file = dir.path().join("message");
    std::fs::write(&file, &message).unwrap();
    let done = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", "pillion", "-f"])
        .arg(&key)
        .arg(&file)
        .stderr(Stdio::null())
        .status();
    assert!(done.unwrap().success());
    let armored = std::fs::read_to_string(dir.path().join("message.sig")).unwrap();
    let base64: String = armored
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let bytes = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    let signature = pillion_people::SshSignature::from_bytes(&bytes).unwrap();
    assert_eq!(Who::Ssh(signature.verify(&message).unwrap()), who(&line));

    let secret = pillion_people::SshSecret::parse(&std::fs::read(&key).unwrap()).unwrap();
    let ours = secret.sign(&message).unwrap().to_bytes();
    let armored = format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        data_encoding::BASE64.encode(&ours)
    );
    let (sig, signers) = (dir.path().join("ours.sig"), dir.path().join("signers"));
    std::fs::write(&sig, armored).unwrap();
    std::fs::write(&signers, format!("anna {line}")).unwrap();
    let done = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", "pillion", "-I", "anna", "-f"])
        .arg(&signers)
        .arg("-s")
        .arg(&sig)
        .stdin(std::fs::File::open(&file).unwrap())
        .stdout(Stdio::null())
        .status();
    assert!(done.unwrap().success());
}
