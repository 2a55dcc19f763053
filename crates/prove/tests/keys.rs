//! Lists of keys from a real HTTP server on this machine, good and bad.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use pillion_caps::SecretKey;
use pillion_people::{Invited, KeyListRef, SshKey, Who};
use pillion_prove::keys::{at, invited, read};

fn key(seed: u8) -> SshKey {
    SshKey::new(SecretKey::from_bytes(&[seed; 32]).public())
}

/// A forge that serves what the path says, until the test ends. Gives its address.
fn forge() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().and_then(Result::ok).unwrap_or_default();
    for line in lines.map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, header, body) = match path.as_str() {
        "/anna.keys" => ("200 OK", "", format!("{}\n{}\n", key(1), key(2))),
        "/moved.keys" => ("302 Found", "Location: /anna.keys\r\n", String::new()),
        "/away.keys" => (
            "302 Found",
            "Location: https://evil.example/anna.keys\r\n",
            String::new(),
        ),
        "/port.keys" => (
            "302 Found",
            "Location: http://127.0.0.1:1/anna.keys\r\n",
            String::new(),
        ),
        "/loop.keys" => ("302 Found", "Location: /loop.keys\r\n", String::new()),
        "/page.keys" => (
            "200 OK",
            "Content-Type: text/html\r\n",
            "<!DOCTYPE html>\n<html>".to_owned(),
        ),
        "/empty.keys" => ("200 OK", "", String::new()),
        "/big.keys" => ("200 OK", "", "#".repeat(1 << 20)),
        _ => ("404 Not Found", "", "Not Found".to_owned()),
    };
    let len = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    );
}

fn keys(of: &[u8]) -> Vec<Invited> {
    of.iter().map(|seed| Who::Ssh(key(*seed)).into()).collect()
}

#[tokio::test]
async fn a_forges_list_of_keys_is_fetched() {
    let forge = forge();
    for text in [
        "forge:anna".to_owned(),
        format!("{forge}/anna.keys"),
        format!("{forge}/moved.keys"),
    ] {
        assert_eq!(
            invited(&text, &forge).await.unwrap(),
            keys(&[1, 2]),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_is_no_list_is_refused_in_words() {
    let forge = forge();
    for (path, word) in [
        ("page", "web page"),
        ("empty", "no ssh-ed25519 key"),
        ("big", "more than the"),
        ("nobody", "404 Not Found"),
        ("away", "evil.example"),
        ("port", "127.0.0.1:1"),
        ("loop", "leads on"),
    ] {
        let text = format!("{forge}/{path}.keys");
        let text = invited(&text, "").await.unwrap_err().to_string();
        assert!(text.contains(word), "{path}: {text}");
    }
    for (text, word) in [
        ("forge:../../evil", "no user"),
        ("http://forge.example/anna.keys", "no https:// address"),
        ("http://127.0.0.1:1/anna.keys", "could not be reached"),
        ("nobody", "names nobody"),
    ] {
        let text = invited(text, &forge).await.unwrap_err().to_string();
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_list_that_is_looked_at_again_may_be_empty_and_nothing_else() {
    let forge = forge();
    let again = async |path: &str| at(&format!("{forge}/{path}.keys")).await;
    assert_eq!(again("anna").await.unwrap(), [key(1), key(2)]);
    assert_eq!(again("empty").await.unwrap(), []);
    for path in ["page", "big", "away", "nobody"] {
        assert!(again(path).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_file_of_keys_and_single_lines_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authorized_keys");
    std::fs::write(&file, format!("# team\n{} anna\n{}\n", key(1), key(3))).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(invited(path, "").await.unwrap(), keys(&[1, 3]));
    let line = format!("{} anna@example.org", key(1));
    assert_eq!(invited(&line, "").await.unwrap(), keys(&[1]));
    let one = invited("anna@example.org", "").await.unwrap();
    assert_eq!(one[0].to_string(), "anna@example.org");
    let listed = read(&KeyListRef::File(path.to_owned()), "").await.unwrap();
    assert_eq!((listed.from.as_str(), listed.is_address), (path, false));
    assert_eq!(listed.keys, [key(1), key(3)]);
    for text in ["anna", "3", "7f3a-91c2"] {
        let refused = invited(text, "").await.unwrap_err().to_string();
        assert!(refused.contains("names nobody"), "{refused}");
    }
    let gone = invited("/no/such/file", "").await.unwrap_err().to_string();
    assert!(gone.contains("/no/such/file"), "{gone}");
}
