use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_777_636_807_000;
const MINUTE: u64 = 60_000;

fn secret() -> LinkSecret {
    LinkSecret::derive(&[1; 32], &[2; 32])
}

fn times() -> Times {
    Times::starting(NOW, 0)
}

fn live() -> LinkRecord {
    LinkRecord::seal(&secret(), times(), b"a ticket", [7; NONCE]).unwrap()
}

fn verify(bytes: &[u8]) -> Result<VerifiedRecord, RecordError> {
    LinkRecord::verify(bytes, &secret().id(), NOW)
}

/// `bytes` changed by `change` before the signature, and signed again by the host.
fn resigned(record: &LinkRecord, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = record.0[..record.0.len() - SIGNATURE].to_vec();
    change(&mut bytes);
    LinkRecord::sign(&secret(), bytes).0
}

#[test]
fn golden_derivation() {
    assert_eq!(
        secret().id().to_string(),
        "CT_1xqLQKg5W-XRJ_ET8jI-TM9BzIDheZjYZkHT-tsI"
    );
    assert_eq!(
        LinkUrl::new(
            "https://signal.example",
            secret().id(),
            secret().key().clone()
        )
        .unwrap()
        .to_string(),
        "https://signal.example/s/CT_1xqLQKg5W-XRJ_ET8jI-TM9BzIDheZjYZkHT-tsI#IrHsz4JV2EcpWA1CN9LIxw"
    );
    assert_eq!(
        secret().relay_token().to_string(),
        "CT_1xqLQKg5W-XRJ_ET8jI-TM9BzIDheZjYZkHT-tsIxqM6031uLQrrY24nM3AWaEyA1DI0M6UazsMQ5VC9MIB-9XepudTUW54uUFTYTzaYK_xCY931kFdEKifO1zy0N"
    );
}

#[test]
fn golden_records() {
    assert_eq!(
        HEXLOWER.encode(live().as_bytes()),
        "0101093ff5c6a2d02a0e56f97449fc44fc8c8f9333d07320385e6636199074feb6c20000019de36911580000019de36911580000019de37239180707070707070707070707070707070707070707070707070050f872b1127d69477345ab8ada6113e2591c8665c262dbc1997c24669010f8b439808adc4052db6989a39420e704b54a956a3a5d8a248cb9989ded89490a068ce32fcf956f6a70f541a9bb68a84b0bf24ef81928e708d5f2492b0ffca600bfa52305d95d57b10b65ff86c4730ef4e0a954bb02ceb85225e0ac7213607392973bd8684e2670164199e161aebc1734280d0b"
    );
    let tombstone = LinkRecord::tombstone(&secret(), times());
    assert_eq!(
        HEXLOWER.encode(tombstone.as_bytes()),
        "0102093ff5c6a2d02a0e56f97449fc44fc8c8f9333d07320385e6636199074feb6c20000019de36911580000019de36911580000019de3723918000000000000000000000000000000000000000000000000000048b8a7d1f3ca5333c3ff3f005e0ae3e0b9cc00d488ed08bc215a01aa172b73e9d47dd0d488032f1d5d4152eb98c660c02486f73eee581af9b996c4f1b5defb0b"
    );
}

#[test]
fn a_record_comes_back() {
    let record = verify(live().as_bytes()).unwrap();
    assert!(record.is_live());
    assert_eq!(record.id(), secret().id());
    assert_eq!(record.times(), times());
    assert_eq!(record.as_bytes(), live().as_bytes());
    assert_eq!(record.open(secret().key()).unwrap().as_slice(), b"a ticket");
}

#[test]
fn a_tombstone_says_that_the_link_has_ended() {
    let record = LinkRecord::tombstone(&secret(), times());
    let record = verify(record.as_bytes()).unwrap();
    assert!(!record.is_live());
    assert_eq!(record.open(secret().key()), Err(RecordError::Ended));
}

#[test]
fn payloads_of_like_size_look_alike() {
    let len = |payload: usize| {
        LinkRecord::seal(&secret(), times(), &vec![1; payload], [7; NONCE])
            .unwrap()
            .as_bytes()
            .len()
    };
    assert_eq!(len(0), len(PADDING - 1));
    assert_eq!(len(PADDING), len(2 * PADDING - 1));
    assert_eq!(len(PADDING) - len(0), PADDING);
}

#[test]
fn the_longest_payload_fits_and_a_longer_one_is_refused() {
    let longest = vec![9; MAX_LINK_PAYLOAD];
    let record = LinkRecord::seal(&secret(), times(), &longest, [7; NONCE]).unwrap();
    assert!(record.as_bytes().len() <= MAX_LINK_RECORD);
    let read = verify(record.as_bytes()).unwrap();
    assert_eq!(read.open(secret().key()).unwrap().as_slice(), longest);
    let longer = vec![9; MAX_LINK_PAYLOAD + 1];
    let refused = LinkRecord::seal(&secret(), times(), &longer, [7; NONCE]);
    assert_eq!(
        refused,
        Err(RecordError::PayloadTooBig { len: longer.len() })
    );
}

#[test]
fn a_holder_of_the_link_cannot_make_its_records() {
    // Everything but the signing key is the link's own.
    let forger = LinkSecret {
        signing: SigningKey::from_bytes(&[9; 32]),
        key: secret().key().clone(),
    };
    let forged = LinkRecord::seal(&forger, times(), b"my ticket", [7; NONCE]).unwrap();
    assert_eq!(verify(forged.as_bytes()), Err(RecordError::OtherId));
    let mut renamed = forged.as_bytes().to_vec();
    renamed[2..34].copy_from_slice(secret().id().as_bytes());
    assert_eq!(verify(&renamed), Err(RecordError::BadSignature));
}

#[test]
fn another_links_record_is_refused() {
    let other = LinkSecret::derive(&[1; 32], &[3; 32]);
    let record = LinkRecord::seal(&other, times(), b"a ticket", [7; NONCE]).unwrap();
    assert_eq!(verify(record.as_bytes()), Err(RecordError::OtherId));
}

#[test]
fn another_links_key_opens_nothing() {
    let record = verify(live().as_bytes()).unwrap();
    let other = LinkKey::from_bytes([0; 16]);
    assert_eq!(record.open(&other), Err(RecordError::OtherKey));
}

#[test]
fn a_ciphertext_moved_to_other_times_does_not_open() {
    // A host would have to do this itself: the header is the ciphertext's associated data.
    let moved = resigned(&live(), |bytes| bytes[41] ^= 1);
    let record = verify(&moved).unwrap();
    assert_eq!(record.open(secret().key()), Err(RecordError::OtherKey));
}

#[test]
fn every_changed_bit_is_noticed() {
    for record in [live(), LinkRecord::tombstone(&secret(), times())] {
        for bit in 0..record.0.len() * 8 {
            let mut bytes = record.0.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&bytes).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn one_cut_short_anywhere_is_refused() {
    let bytes = live().0;
    for end in 0..bytes.len() {
        assert!(verify(&bytes[..end]).is_err(), "{end}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(verify(&longer).is_err());
}

#[test]
fn what_is_too_big_is_refused_before_it_is_read() {
    let len = MAX_LINK_RECORD + 1;
    assert_eq!(verify(&vec![1; len]), Err(RecordError::TooBig { len }));
}

#[test]
fn a_claimed_length_other_than_the_real_one_is_refused() {
    for claim in [0u16, 1, 79, 81, u16::MAX] {
        let wrong = resigned(&live(), |bytes| {
            bytes[82..84].copy_from_slice(&claim.to_be_bytes());
        });
        assert!(
            matches!(verify(&wrong), Err(RecordError::Malformed(_))),
            "{claim}"
        );
    }
}

#[test]
fn other_versions_and_kinds_are_named() {
    let newer = resigned(&live(), |bytes| bytes[0] = 2);
    assert_eq!(verify(&newer), Err(RecordError::Newer(2)));
    let unknown = resigned(&live(), |bytes| bytes[1] = 3);
    assert!(matches!(verify(&unknown), Err(RecordError::Malformed(_))));
    let full = resigned(&live(), |bytes| bytes[1] = KIND_TOMBSTONE);
    assert!(matches!(verify(&full), Err(RecordError::Malformed(_))));
}

#[test]
fn a_lifetime_is_at_most_ten_minutes() {
    let lasting = |millis| Times {
        expires: NOW + millis,
        ..times()
    };
    let record = LinkRecord::tombstone(&secret(), lasting(MAX_LIFETIME_MILLIS));
    assert!(verify(record.as_bytes()).is_ok());
    let record = LinkRecord::tombstone(&secret(), lasting(24 * 60 * MINUTE));
    let refused = verify(record.as_bytes()).unwrap_err();
    assert_eq!(
        refused,
        RecordError::TooLong {
            millis: 24 * 60 * MINUTE
        }
    );
    assert!(refused.to_string().contains("24 hours"), "{refused}");
    for backwards in [NOW, NOW - 1] {
        let times = Times {
            expires: backwards,
            ..times()
        };
        let record = LinkRecord::tombstone(&secret(), times);
        assert!(matches!(
            verify(record.as_bytes()),
            Err(RecordError::Malformed(_))
        ));
    }
}

#[test]
fn clocks_may_differ_by_two_minutes_and_more_is_said() {
    let bytes = live().0;
    let at = |now| LinkRecord::verify(&bytes, &secret().id(), now);
    let end = NOW + MAX_LIFETIME_MILLIS;
    assert!(at(NOW - 2 * MINUTE).is_ok());
    assert!(at(end + 2 * MINUTE).is_ok());

    let late = at(end + 60 * MINUTE).unwrap_err();
    assert_eq!(
        late,
        RecordError::Expired {
            millis: 60 * MINUTE
        }
    );
    assert!(
        late.to_string().contains("expired 60 minutes ago"),
        "{late}"
    );
    assert!(late.to_string().contains("behind"), "{late}");

    let early = at(NOW - 60 * MINUTE).unwrap_err();
    assert_eq!(
        early,
        RecordError::FromFuture {
            millis: 60 * MINUTE
        }
    );
    assert!(early.to_string().contains("60 minutes from now"), "{early}");
    assert!(early.to_string().contains("ahead"), "{early}");
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    for now in [0, u64::MAX] {
        assert!(LinkRecord::verify(live().as_bytes(), &secret().id(), now).is_err());
    }
    let last = Times::starting(u64::MAX - 1, u64::MAX);
    assert_eq!((last.seq, last.expires), (u64::MAX, u64::MAX));
    let record = LinkRecord::tombstone(&secret(), last);
    let read = LinkRecord::verify(record.as_bytes(), &secret().id(), u64::MAX);
    assert!(read.is_ok());
}

#[test]
fn a_number_always_grows() {
    assert_eq!(Times::starting(NOW, NOW - 5).seq, NOW);
    assert_eq!(Times::starting(NOW, NOW).seq, NOW + 1);
    // The clock was set back.
    assert_eq!(Times::starting(NOW - MINUTE, NOW).seq, NOW + 1);
}

#[test]
fn a_link_follows_the_ticket() {
    assert_eq!(LinkSecret::derive(&[1; 32], &[2; 32]).id(), secret().id());
    for other in [
        LinkSecret::derive(&[1; 32], &[3; 32]),
        LinkSecret::derive(&[3; 32], &[2; 32]),
    ] {
        assert_ne!(other.id(), secret().id());
        assert_ne!(other.key(), secret().key());
    }
}

fn link() -> LinkUrl {
    LinkUrl::new(
        "https://signal.example",
        secret().id(),
        secret().key().clone(),
    )
    .unwrap()
}

#[test]
fn a_link_comes_back_with_what_a_paste_brings_along() {
    let text = link().to_string();
    let (one, two) = text.split_at(50);
    for pasted in [
        text.clone(),
        format!("  {text}\r\n"),
        format!("pillion join '{text}'"),
        format!("<{text}>"),
        format!("{one}\n{two}"),
        text.replace("https://signal.example", "HTTPS://Signal.Example"),
        text.replace("/s/", "///s/"),
    ] {
        assert_eq!(pasted.parse(), Ok(link()), "{pasted}");
    }
}

#[test]
fn a_link_says_where_its_record_is() {
    for (service, record) in [
        ("https://signal.example", "https://signal.example/v1/links/"),
        ("http://[::1]:8080/", "http://[::1]:8080/v1/links/"),
        (
            "https://example.com/pillion",
            "https://example.com/pillion/v1/links/",
        ),
    ] {
        let link = LinkUrl::new(service, secret().id(), secret().key().clone()).unwrap();
        assert_eq!(link.record_url(), format!("{record}{}", secret().id()));
        assert_eq!(link.to_string().parse(), Ok(link));
    }
}

#[test]
fn what_is_no_link_is_told_what_is_missing() {
    let text = link().to_string();
    let error = |text: &str| text.parse::<LinkUrl>().unwrap_err();
    assert_eq!(error("pillionabc"), LinkError::NotALink);
    assert_eq!(error(""), LinkError::NotALink);
    assert_eq!(error(&text[..text.find('#').unwrap()]), LinkError::NoKey);
    assert_eq!(error(&text[..text.len() - 1]), LinkError::Key);
    assert_eq!(error(&text.replacen("/s/", "/s/x", 1)), LinkError::Id);
    assert_eq!(error(&"x".repeat(MAX_LINK_CHARS + 1)), LinkError::NotALink);
    for service in [
        "ftp://signal.example",
        "https://user:secret@signal.example",
        "https://signal.example?x",
        "https://",
        "https://sig nal",
        "signal.example",
        "https://signal.example/a b",
        "https://signal.example/\u{1b}[31m",
    ] {
        let made = LinkUrl::new(service, secret().id(), secret().key().clone());
        assert_eq!(made, Err(LinkError::Service), "{service}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let key = BASE64URL_NOPAD.encode(secret().key().as_bytes());
    for shown in [
        format!("{:?}", link()),
        format!("{:?}", secret()),
        format!("{:?}", secret().key()),
        format!("{:?}", secret().relay_token()),
        link().record_url(),
    ] {
        assert!(!shown.contains(&key), "{shown}");
        assert!(!shown.contains("signature"), "{shown}");
    }
}

#[test]
fn a_relay_token_names_the_link_whose_host_signed_it() {
    let token = secret().relay_token();
    let read: RelayToken = token.to_string().parse().unwrap();
    assert_eq!(read, token);
    assert_eq!(read.verify(), Ok(secret().id()));
    let text = token.to_string();
    for at in 0..text.len() {
        let with = if &text[at..=at] == "A" { "B" } else { "A" };
        let mut changed = text.clone();
        changed.replace_range(at..=at, with);
        let verdict = changed.parse::<RelayToken>().map(|token| token.verify());
        assert!(!matches!(verdict, Ok(Ok(_))), "{at}");
    }
    // A record's signature is no token.
    let record = LinkRecord::tombstone(&secret(), times()).0;
    let signature = record.last_chunk().unwrap();
    let reused = RelayToken {
        id: secret().id(),
        signature: *signature,
    };
    assert_eq!(reused.verify(), Err(RecordError::BadSignature));
}

#[test]
fn spans_are_said_in_words() {
    for (millis, said) in [
        (1, "1 second"),
        (119_000, "119 seconds"),
        (3_540_000, "59 minutes"),
        (86_400_000, "24 hours"),
        (10 * 86_400_000, "10 days"),
    ] {
        assert_eq!(Span(millis).to_string(), said);
    }
}

proptest! {
    #[test]
    fn any_payload_comes_back(payload in prop::collection::vec(any::<u8>(), 0..=MAX_LINK_PAYLOAD), nonce: [u8; NONCE]) {
        let record = LinkRecord::seal(&secret(), times(), &payload, nonce).unwrap();
        let read = verify(record.as_bytes()).unwrap();
        let opened = read.open(secret().key()).unwrap();
        prop_assert_eq!(opened.as_slice(), payload.as_slice());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text: String) {
        prop_assert!(verify(&bytes).is_err());
        let _ = text.parse::<LinkUrl>();
        let _ = format!("https://{text}/s/{}#{text}", secret().id()).parse::<LinkUrl>();
        let _ = text.parse::<LinkId>();
        let _ = text.parse::<RelayToken>();
    }

    #[test]
    fn changed_bytes_are_refused(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = live().0;
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        prop_assume!(bytes != live().0);
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn what_a_host_signs_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300), now: u64) {
        let bytes = resigned(&live(), |bytes| {
            bytes.truncate(HEADER - 2);
            bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(&body);
        });
        if let Ok(record) = LinkRecord::verify(&bytes, &secret().id(), now) {
            prop_assert!(record.open(secret().key()).is_err());
        }
    }
}
