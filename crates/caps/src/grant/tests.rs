//! Grants: golden bytes, the rules of narrowing, and every way to tamper with a chain.

use proptest::{prelude::*, sample::Index};

use super::*;

const START: UnixMillis = UnixMillis(1_800_000_000_000);
const HOUR: u64 = 3_600_000;

fn secret(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn session() -> SecretKey {
    secret(1)
}

/// Edit, passed on at will, for the key of `seed`, for an hour, three uses.
fn terms(seed: u8) -> Terms {
    Terms {
        session: session().public(),
        rights: Rights::EDIT.with(Right::Delegate),
        audience: Audience::Key(secret(seed).public()),
        not_before: START,
        expires: START.saturating_add(HOUR),
        uses: NonZeroU32::new(3),
    }
}

fn root() -> Grant {
    Grant::issue(&session(), terms(2), [0xaa; 16]).unwrap()
}

/// The grant passed on so many times, from the key 2 to 3, from 3 to 4 …
fn chain(passed_on: u8) -> Grant {
    (0..passed_on).fold(root(), |grant, depth| {
        let narrowed = grant.narrow(&secret(2 + depth), terms(3 + depth), [depth; 16]);
        narrowed.unwrap()
    })
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

#[test]
// Computed apart from this crate, from the layout in grant.rs, by another ed25519 (OpenSSL's).
fn golden_grant() {
    let grant = chain(1);
    assert_eq!(
        hex(&root().to_bytes()),
        "018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c01001b01813977\
         0ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394000001a3185c5000000001\
         a318933e8000000003aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa4397a5551faad93c564f9cad908c6c\
         47e3c4f09360392ee556591b87516b3e237d00251792404b8a446e1e28c7428966bb623d7f68bb4e\
         d1166b17b082e8ac06"
    );
    assert_eq!(
        hex(&grant.to_bytes()),
        "018a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c02001b01813977\
         0ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394000001a3185c5000000001\
         a318933e8000000003aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa4397a5551faad93c564f9cad908c6c\
         47e3c4f09360392ee556591b87516b3e237d00251792404b8a446e1e28c7428966bb623d7f68bb4e\
         d1166b17b082e8ac06001b01ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614\
         ac8737d1000001a3185c5000000001a318933e800000000300000000000000000000000000000000\
         bb0625ee9e5c2efcf0b6ab585147e54337e427a489c6a31d8d4212536ac9f576d92176f629e05963\
         40a9416bfbb15e3962792ff3df5b3f20ac7dc53106826502"
    );
    assert_eq!(root().id().to_string(), "ea2ce9e1fffb68e8697f35564a6fdfb4");
    assert_eq!(grant.id().to_string(), "47313ceeb84e42dfe924da29a5095644");
    assert_eq!(grant.verify(), Ok(()));
}

#[test]
fn golden_audiences() {
    let key = secret(2).public();
    let mail: EmailAddress = "ada@example.org".parse().unwrap();
    for (audience, golden) in [
        (Audience::Key(key), format!("01{key}")),
        (Audience::Link(key), format!("02{key}")),
        (
            Audience::Email(mail),
            "030f616461406578616d706c652e6f7267".to_owned(),
        ),
        (Audience::Team(key), format!("04{key}")),
    ] {
        let mut bytes = Vec::new();
        audience.write(&mut bytes);
        assert_eq!(hex(&bytes), golden);
        assert_eq!(Audience::read(&mut Reader::new(&bytes)), Ok(audience));
    }
}

#[test]
fn an_unknown_audience_is_named() {
    let refusal = Audience::read(&mut Reader::new(&[9, 0, 0])).unwrap_err();
    assert!(refusal.to_string().contains("an audience number 9"));
}

#[test]
fn the_longest_grant_fits_its_limit() {
    let longest = format!("{}@b", "a".repeat(MAX_EMAIL_BYTES - 2));
    let audience = Audience::Email(longest.parse().unwrap());
    let grant = Grant::issue(
        &session(),
        Terms {
            audience,
            ..terms(2)
        },
        [0; 16],
    )
    .unwrap();
    let header = 1 + 32 + 1;
    let block = grant.to_bytes().len() - header;
    assert_eq!(header + MAX_BLOCKS * block, 1824);
    assert!(header + MAX_BLOCKS * block <= MAX_GRANT_BYTES);
    assert_eq!(Grant::from_bytes(&grant.to_bytes()), Ok(grant));
}

#[test]
fn addresses_that_are_none_are_refused() {
    let too_long = format!("{}@b", "a".repeat(MAX_EMAIL_BYTES - 1));
    for text in [
        "", "@", "a@", "@b", "ab", "a b@c", "a@b\n", "ä@b", "\u{1b}@b", &too_long,
    ] {
        assert_eq!(
            text.parse::<EmailAddress>(),
            Err(Malformed::Email),
            "{text:?}"
        );
    }
    assert_eq!("a@b".parse::<EmailAddress>().unwrap().to_string(), "a@b");
}

#[test]
fn a_grant_can_be_passed_on_four_times() {
    let grant = chain(4);
    assert_eq!(grant.verify(), Ok(()));
    assert_eq!(grant.chain().count(), MAX_BLOCKS);
    assert_eq!(Grant::from_bytes(&grant.to_bytes()), Ok(grant.clone()));
    let refused = grant.narrow(&secret(6), terms(7), [0; 16]);
    assert_eq!(refused, Err(Refusal::TooDeep));
}

#[test]
fn a_chain_of_six_blocks_is_not_even_read() {
    let mut bytes = chain(4).to_bytes();
    let block = bytes[bytes.len() - 100..].to_vec();
    bytes[33] = 6;
    bytes.extend(block);
    assert_eq!(Grant::from_bytes(&bytes), Err(Malformed::Blocks(6)));
    bytes[33] = 0;
    assert_eq!(Grant::from_bytes(&bytes), Err(Malformed::Blocks(0)));
}

#[test]
fn a_root_is_signed_by_its_session() {
    let refused = Grant::issue(&secret(9), terms(2), [0; 16]);
    assert_eq!(refused, Err(Refusal::OtherSession));
    let forged = Grant {
        ancestors: Vec::new(),
        last: Block::sign(&secret(9), terms(2), [0; 16], 0, None),
    };
    assert_eq!(forged.verify(), Err(Refusal::Altered));
}

#[test]
fn only_the_holder_passes_on() {
    let refused = root().narrow(&secret(9), terms(3), [0; 16]);
    assert_eq!(refused, Err(Refusal::OtherKey));
    let forged = Grant {
        ancestors: vec![root().last],
        last: Block::sign(&secret(9), terms(3), [0; 16], 1, Some(&root().last)),
    };
    assert_eq!(forged.verify(), Err(Refusal::Altered));
}

#[test]
fn a_link_passes_on_by_its_own_key() {
    let audience = Audience::Link(secret(8).public());
    let linked = Terms {
        audience,
        ..terms(2)
    };
    let root = Grant::issue(&session(), linked, [0; 16]).unwrap();
    let child = root.narrow(&secret(8), terms(3), [0; 16]).unwrap();
    assert_eq!(child.verify(), Ok(()));
}

#[test]
fn addresses_and_teams_cannot_pass_on_yet() {
    for (audience, what) in [
        (Audience::Email("a@b".parse().unwrap()), Unprovable::Email),
        (Audience::Team(secret(2).public()), Unprovable::Team),
    ] {
        let terms = Terms {
            audience,
            ..terms(2)
        };
        let root = Grant::issue(&session(), terms.clone(), [0; 16]).unwrap();
        assert_eq!(root.verify(), Ok(()));
        let refused = Err(Refusal::Unsupported(what));
        assert_eq!(root.narrow(&secret(2), terms.clone(), [0; 16]), refused);
        let last = Block::sign(&secret(2), terms, [0; 16], 1, Some(&root.last));
        let forged = Grant {
            ancestors: vec![root.last],
            last,
        };
        assert_eq!(forged.verify(), refused.map(|_: Grant| ()));
    }
}

#[test]
fn a_grant_that_ends_before_it_begins_is_refused() {
    let never = Terms {
        expires: START,
        ..terms(2)
    };
    let refused = Grant::issue(&session(), never.clone(), [0; 16]);
    assert_eq!(refused, Err(Refusal::NeverValid));
    let never = Terms {
        audience: Audience::Key(secret(3).public()),
        ..never
    };
    let refused = root().narrow(&secret(2), never, [0; 16]);
    assert_eq!(refused, Err(Refusal::NeverValid));
}

/// Each way to widen, refused both to an honest holder and to a forger who signs it anyway.
#[test]
fn nothing_is_widened() {
    let wider = [
        (
            Terms {
                rights: Rights::MANAGE,
                ..terms(3)
            },
            Refusal::Widens(Bound::Rights),
        ),
        (
            Terms {
                not_before: UnixMillis(START.0 - 1),
                ..terms(3)
            },
            Refusal::Widens(Bound::Time),
        ),
        (
            Terms {
                expires: START.saturating_add(HOUR + 1),
                ..terms(3)
            },
            Refusal::Widens(Bound::Time),
        ),
        (
            Terms {
                uses: NonZeroU32::new(4),
                ..terms(3)
            },
            Refusal::Widens(Bound::Uses),
        ),
        (
            Terms {
                uses: None,
                ..terms(3)
            },
            Refusal::Widens(Bound::Uses),
        ),
        (
            Terms {
                session: secret(9).public(),
                ..terms(3)
            },
            Refusal::OtherSession,
        ),
    ];
    for (terms, refusal) in wider {
        let refused = root().narrow(&secret(2), terms.clone(), [0; 16]);
        assert_eq!(refused, Err(refusal.clone()));
        let forged = Grant {
            ancestors: vec![root().last],
            last: Block::sign(&secret(2), terms, [0; 16], 1, Some(&root().last)),
        };
        assert_eq!(forged.verify(), Err(refusal));
    }
}

#[test]
fn passing_on_takes_the_right_to() {
    let plain = Terms {
        rights: Rights::MANAGE,
        ..terms(2)
    };
    let root = Grant::issue(&session(), plain, [0; 16]).unwrap();
    let child = Terms {
        rights: Rights::VIEW,
        ..terms(3)
    };
    let refused = root.narrow(&secret(2), child.clone(), [0; 16]);
    assert_eq!(refused, Err(Refusal::NotDelegable));
    let last = Block::sign(&secret(2), child, [0; 16], 1, Some(&root.last));
    let forged = Grant {
        ancestors: vec![root.last],
        last,
    };
    assert_eq!(forged.verify(), Err(Refusal::NotDelegable));
}

#[test]
fn blocks_cannot_be_spliced_reordered_or_cut_out() {
    let whole: Vec<Block> = chain(3).blocks().cloned().collect();
    let other_root = Grant::issue(&session(), terms(2), [0xbb; 16]).unwrap();
    let rebuilt = |blocks: &[&Block]| {
        let (last, ancestors) = blocks.split_last().unwrap();
        let grant = Grant {
            ancestors: ancestors.iter().map(|block| (*block).clone()).collect(),
            last: (*last).clone(),
        };
        // As it would come in: ids are recomputed from what is there.
        Grant::from_bytes(&grant.to_bytes()).unwrap().verify()
    };
    let [a, b, c, d] = &whole[..] else {
        panic!("four blocks");
    };
    assert_eq!(rebuilt(&[a, b, c, d]), Ok(()));
    // The beginning of a chain is what its holder held, and no more.
    assert_eq!(rebuilt(&[a, b]), Ok(()));
    let tampered: &[&[&Block]] = &[
        &[&other_root.last, b],
        &[a, c],
        &[a, b, d],
        &[a, c, b],
        &[b, a],
        &[b],
        &[d],
        &[a, a],
        &[a, b, b],
        &[b, c, d],
    ];
    for (index, blocks) in tampered.iter().enumerate() {
        assert_eq!(rebuilt(blocks), Err(Refusal::Altered), "case {index}");
    }
}

#[test]
fn a_cut_off_grant_says_so() {
    let bytes = chain(2).to_bytes();
    for len in 0..bytes.len() {
        assert_eq!(Grant::from_bytes(&bytes[..len]), Err(Malformed::Truncated));
    }
    let long = [&bytes[..], &[0]].concat();
    assert_eq!(Grant::from_bytes(&long), Err(Malformed::Trailing(1)));
    let huge = vec![1; MAX_GRANT_BYTES + 1];
    assert_eq!(Grant::from_bytes(&huge), Err(Malformed::TooLong(4097)));
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(Grant::from_bytes(&newer), Err(Malformed::Version(2)));
}

#[test]
fn every_altered_bit_is_refused() {
    let bytes = chain(2).to_bytes();
    let mut read = 0;
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(grant) = Grant::from_bytes(&altered) {
            read += 1;
            assert_eq!(grant.to_bytes(), altered);
            assert!(grant.verify().is_err(), "bit {bit}");
        }
    }
    assert!(
        read > 1000,
        "most alterations must get as far as a signature"
    );
}

#[test]
fn an_id_stands_for_all_a_grant_says() {
    let base = root().id();
    let with = |terms: Terms, seed| Grant::issue(&session(), terms, seed).unwrap().id();
    assert_eq!(with(terms(2), [0xaa; 16]), base);
    assert_ne!(with(terms(2), [0xab; 16]), base);
    assert_ne!(with(terms(3), [0xaa; 16]), base);
    let read_back = Grant::from_bytes(&chain(3).to_bytes()).unwrap();
    let ids: Vec<GrantId> = read_back.chain().map(|(id, _)| id).collect();
    assert_eq!(ids[0], base);
    assert_eq!(ids[3], read_back.id());
    assert_eq!(ids[2], chain(2).id());
}

#[test]
fn ids_parse_from_what_they_display() {
    let id = root().id();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!("12".parse::<GrantId>(), Err(Malformed::Hex(32)));
    assert_eq!(postcard::to_allocvec(&id).unwrap(), id.as_bytes());
}

#[test]
fn two_minutes_of_skew_are_tolerated_at_both_ends() {
    let grant = root();
    let expires = START.saturating_add(HOUR);
    let at = |now: u64| grant.check_time(UnixMillis(now));
    assert_eq!(at(START.0 - CLOCK_SKEW_MILLIS), Ok(()));
    assert_eq!(at(START.0), Ok(()));
    assert_eq!(at(expires.0), Ok(()));
    assert_eq!(at(expires.0 + CLOCK_SKEW_MILLIS - 1), Ok(()));

    let now = UnixMillis(START.0 - CLOCK_SKEW_MILLIS - 1);
    let early = at(now.0).unwrap_err();
    let not_before = START;
    assert_eq!(
        early,
        Refusal::NotYetValid {
            not_before,
            now,
            delegated: false
        }
    );
    assert!(early.to_string().contains("the host's clock was set back"));
    let now = UnixMillis(expires.0 + CLOCK_SKEW_MILLIS);
    assert_eq!(at(now.0), Err(Refusal::Expired { expires, now }));
    let [first, last] = [0, u64::MAX].map(at);
    assert!(first.is_err() && last.is_err());
}

#[test]
fn a_beginning_chosen_by_a_holder_blames_its_clock() {
    let ahead = Terms {
        not_before: START.saturating_add(HOUR / 2),
        ..terms(3)
    };
    let child = root().narrow(&secret(2), ahead, [0; 16]).unwrap();
    let early = child.check_time(START).unwrap_err().to_string();
    assert!(
        early.contains("the machine it was passed on from is ahead"),
        "{early}"
    );
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let forever = Terms {
        expires: UnixMillis(u64::MAX),
        ..terms(2)
    };
    let grant = Grant::issue(&session(), forever, [0; 16]).unwrap();
    assert_eq!(grant.check_time(UnixMillis(u64::MAX - 1)), Ok(()));
    assert!(grant.check_time(UnixMillis(u64::MAX)).is_err());
}

fn any_rights() -> impl Strategy<Value = Rights> {
    // Rights of a newer version among them.
    any::<u16>().prop_map(Rights::from_bits)
}

/// Terms near enough to each other that a chain of them is often, not always, narrowing.
fn any_terms(seed: u8) -> impl Strategy<Value = Terms> {
    let uses = prop_oneof![Just(0), 1..4u32];
    (any_rights(), 0..4u64, 4..8u64, uses, any::<bool>()).prop_map(
        move |(rights, begin, end, uses, link)| {
            let key = secret(seed).public();
            let audience = match link {
                true => Audience::Link(key),
                false => Audience::Key(key),
            };
            Terms {
                session: session().public(),
                rights,
                audience,
                not_before: UnixMillis(START.0 + begin * HOUR),
                expires: UnixMillis(START.0 + end * HOUR),
                uses: NonZeroU32::new(uses),
            }
        },
    )
}

/// What the words say, written out apart from the code that enforces it.
fn is_no_wider(child: &Terms, parent: &Terms) -> bool {
    let uses = |terms: &Terms| terms.uses.map_or(u64::MAX, |uses| uses.get().into());
    let has = |terms: &Terms, bit: u16| terms.rights.bits() & bit != 0;
    (0..16)
        .map(|at| 1 << at)
        .all(|bit| !has(child, bit) || has(parent, bit))
        && child.not_before >= parent.not_before
        && child.expires <= parent.expires
        && uses(child) <= uses(parent)
        && child.session == parent.session
}

proptest! {
    /// Whatever chain holders sign, honest or not: it verifies exactly if no block is wider than
    /// any before it and all but the last may be passed on.
    #[test]
    fn nothing_widens_along_any_chain(
        all in (any_terms(2), any_terms(3), any_terms(4), any_terms(5), any_terms(6)),
        len in 1..=MAX_BLOCKS,
        favour_delegable: bool,
    ) {
        let mut all = [all.0, all.1, all.2, all.3, all.4];
        for terms in all.iter_mut().filter(|_| favour_delegable) {
            terms.rights = terms.rights.with(Right::Delegate);
        }
        let all = &all[..len];
        let mut signed: Vec<Block> = Vec::new();
        let mut narrowed = Grant::issue(&session(), all[0].clone(), [0; 16]);
        for (index, terms) in all.iter().enumerate() {
            let signer = secret(1 + index as u8);
            let block = Block::sign(&signer, terms.clone(), [0; 16], index, signed.last());
            if index > 0 {
                narrowed = narrowed.and_then(|held| held.narrow(&signer, terms.clone(), [0; 16]));
            }
            signed.push(block);
        }
        let last = signed.pop().unwrap();
        let grant = Grant { ancestors: signed, last };
        let read = Grant::from_bytes(&grant.to_bytes());
        prop_assert_eq!(read.as_ref(), Ok(&grant));

        let never_wider = all.iter().enumerate().all(|(index, child)| {
            all[..index].iter().all(|ancestor| is_no_wider(child, ancestor))
        });
        let delegable = all[..len - 1].iter().all(|terms| terms.rights.bits() & 8 != 0);
        prop_assert_eq!(grant.verify().is_ok(), never_wider && delegable);
        prop_assert_eq!(narrowed.ok(), (never_wider && delegable).then_some(grant));
    }

    #[test]
    fn every_altered_byte_is_refused(
        passed_on in 0..=4u8,
        at: Index,
        flip in 1..=u8::MAX,
    ) {
        let mut bytes = chain(passed_on).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let verdict = Grant::from_bytes(&bytes).map_err(Refusal::from).and_then(|grant| grant.verify());
        prop_assert!(verdict.is_err());
    }

    /// Cut, doubled, overwritten: never a panic, and what is read has one encoding.
    #[test]
    fn mangled_bytes_never_panic(
        passed_on in 0..=4u8,
        cut: (Index, Index, Index),
        noise: Vec<(Index, u8)>,
    ) {
        let bytes = chain(passed_on).to_bytes();
        let [from, to, into] = [cut.0, cut.1, cut.2].map(|at| at.index(bytes.len()));
        let piece = &bytes[from.min(to)..from.max(to)];
        let mut mangled = [&bytes[..into], piece].concat();
        let len = mangled.len();
        for (at, byte) in noise.into_iter().filter(|_| len > 0) {
            mangled[at.index(len)] = byte;
        }
        if let Ok(grant) = Grant::from_bytes(&mangled) {
            prop_assert_eq!(grant.to_bytes(), mangled);
            let _ = grant.verify();
        }
    }

    #[test]
    fn any_bytes_are_read_to_one_encoding(bytes: Vec<u8>) {
        if let Ok(grant) = Grant::from_bytes(&bytes) {
            prop_assert_eq!(grant.to_bytes(), bytes);
        }
    }
}
