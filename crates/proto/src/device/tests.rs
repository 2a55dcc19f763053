use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_777_636_807_000;

fn key(seed: u8) -> DeviceKey {
    DeviceKey::from_bytes(&[seed; 32])
}

fn group() -> GroupSecret {
    GroupSecret::from_bytes([9; 32])
}

fn member(seed: u8, name: &str) -> Member {
    Member {
        id: key(seed).id(),
        name: Text::cut(name),
    }
}

fn record(sessions: usize) -> DeviceRecord {
    let session = |n: usize| ListedSession {
        name: Text::cut(&format!("session {n}")),
        ticket: vec![n as u8; 200],
    };
    DeviceRecord {
        name: Text::cut("laptop"),
        members: vec![member(2, "desk")],
        sessions: (0..sessions).map(session).collect(),
        more: 0,
    }
}

/// What the first device leaves for the second, after it took out the third.
fn rotation() -> Rotation {
    let mut group = Group::new(group());
    group.add(member(2, "desk"));
    group.take_out(&key(3).id(), GroupSecret::from_bytes([3; 32]));
    group.rotation(&member(1, "laptop"))
}

fn sealed(record: DeviceRecord) -> LinkRecord {
    record
        .seal(&key(1), &group(), Times::starting(NOW, 0), [7; 24])
        .unwrap()
}

#[test]
fn golden_places() {
    let place = group().record(&key(1).id());
    assert_eq!(
        place.id().to_string(),
        "JwSmsXetKsGv9Mtd2H3gVRPNUfhRDw339VIvMGHsJfY"
    );
    assert_eq!(
        HEXLOWER.encode(&group().name()),
        "4471de819bb344c221fd257cec1944caef3611e18889508eb1703059e33691b8"
    );
    assert_eq!(comparison(b"offer", b"guess"), "e9f0-b39a-6fe5-0fe6");
}

#[test]
fn golden_rotation() {
    let place = key(1).rotation(&key(1).id(), &key(2).id()).unwrap();
    assert_eq!(
        place.id().to_string(),
        "eF9q9-xCfLRMLPnuK_qrZRE8BktjsHW3PUVcJU_5Bbs"
    );
    assert_eq!(
        HEXLOWER.encode(place.key().as_bytes()),
        "fd4ed1100b280112508d6c0d26290d27"
    );
    // The receiver finds the same, and what goes the other way is elsewhere.
    let same = key(2).rotation(&key(1).id(), &key(2).id()).unwrap();
    assert_eq!(
        (same.id(), same.key().as_bytes()),
        (place.id(), place.key().as_bytes())
    );
    let back = key(1).rotation(&key(2).id(), &key(1).id()).unwrap();
    assert_eq!(
        back.id().to_string(),
        "W0MriBbSUecZgXhoLJKEKzwdKWas9q49WjN0tDpnOl0"
    );
    assert_eq!(
        HEXLOWER.encode(&postcard::to_allocvec(&rotation()).unwrap()),
        "010303030303030303030303030303030303030303030303030303030303030303028139770ea87d\
         175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394046465736b8a88e3dd7409f195fd\
         52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c066c6170746f700101ed4928c628d1c2c6"
    );
}

#[test]
fn what_a_device_says_comes_through_to_its_group_and_to_nobody_else() {
    let said = record(2);
    let bytes = sealed(said.clone());
    let (device, bytes) = (key(1).id(), bytes.as_bytes());
    let (times, read) = DeviceRecord::open(bytes, &device, &group(), NOW).unwrap();
    assert_eq!((times.issued, read), (NOW, said));
    let other = GroupSecret::from_bytes([8; 32]);
    assert_eq!(
        DeviceRecord::open(bytes, &device, &other, NOW),
        Err(RecordError::OtherId.into())
    );
    assert!(DeviceRecord::open(bytes, &key(2).id(), &group(), NOW).is_err());
    let late = NOW + 13 * 60_000;
    assert!(matches!(
        DeviceRecord::open(bytes, &device, &group(), late),
        Err(DeviceError::Record(RecordError::Expired { .. }))
    ));
}

#[test]
fn a_device_cant_speak_for_another_one_of_its_group() {
    // It knows where the other one's record is and how it is encrypted, but not how it is signed.
    let (place, times) = (group().record(&key(1).id()), Times::starting(NOW, 0));
    let forged = seal(KIND_SESSIONS, &record(0), &key(2), &place, times, [7; 24]).unwrap();
    assert_eq!(
        DeviceRecord::open(forged.as_bytes(), &key(1).id(), &group(), NOW),
        Err(DeviceError::BadSignature)
    );
    // Nor does what it signed count under another number.
    let (old, later) = (record(0), Times::starting(NOW + 1, 0));
    let body = postcard::to_allocvec(&old).unwrap();
    let signature = key(1)
        .0
        .sign(&signed(&place.id(), times, KIND_SESSIONS, &body));
    let payload = [&[KIND_SESSIONS][..], &signature.to_bytes(), &body].concat();
    let replayed = LinkRecord::seal(&place, later, &payload, [7; 24]).unwrap();
    assert_eq!(
        DeviceRecord::open(replayed.as_bytes(), &key(1).id(), &group(), NOW),
        Err(DeviceError::BadSignature)
    );
}

#[test]
fn sessions_without_room_are_counted() {
    let bytes = sealed(record(20));
    let (_, read) = DeviceRecord::open(bytes.as_bytes(), &key(1).id(), &group(), NOW).unwrap();
    assert!((5..=MAX_LISTED).contains(&read.sessions.len()), "{read:?}");
    assert_eq!(read.sessions.len() + usize::from(read.more), 20);
}

#[test]
fn a_rotation_is_for_one_device_and_from_one() {
    let new = GroupSecret::from_bytes([3; 32]);
    let rotation = Rotation {
        secret: new.clone(),
        ..rotation()
    };
    let times = Times::starting(NOW, 0);
    let bytes = rotation
        .seal(&key(1), &key(2).id(), times, [5; 24])
        .unwrap();
    let bytes = bytes.as_bytes();
    let (_, read) = Rotation::open(bytes, &key(2), &key(1).id(), NOW).unwrap();
    assert_eq!((&read.secret, &read), (&new, &rotation));
    // Neither a third device, who may be the one that is taken out, nor another sender.
    assert!(Rotation::open(bytes, &key(3), &key(1).id(), NOW).is_err());
    assert!(Rotation::open(bytes, &key(2), &key(3).id(), NOW).is_err());
    assert!(
        rotation
            .seal(&key(1), &DeviceId([0; 32]), times, [5; 24])
            .is_err()
    );
    // A device's record is no rotation.
    let place = key(1).rotation(&key(1).id(), &key(2).id()).unwrap();
    let other = seal(KIND_SESSIONS, &record(0), &key(1), &place, times, [7; 24]).unwrap();
    assert_eq!(
        Rotation::open(other.as_bytes(), &key(2), &key(1).id(), NOW),
        Err(DeviceError::Malformed("it is of another kind"))
    );
}

#[test]
fn claimed_counts_are_bounded() {
    let mut crowd = record(0);
    crowd.members = vec![member(2, "desk"); MAX_DEVICES + 1];
    let place = group().record(&key(1).id());
    let times = Times::starting(NOW, 0);
    let bytes = seal(KIND_SESSIONS, &crowd, &key(1), &place, times, [7; 24]).unwrap();
    assert!(matches!(
        DeviceRecord::open(bytes.as_bytes(), &key(1).id(), &group(), NOW),
        Err(DeviceError::Malformed(_))
    ));
}

#[test]
fn secrets_are_in_no_debug_text() {
    let said = format!(
        "{:?} {:?} {:?} {:?}",
        key(1),
        group(),
        record(1),
        rotation()
    );
    assert!(
        !said.contains("[9, 9") && !said.contains("[1, 1") && !said.contains("[0, 0"),
        "{said}"
    );
}

proptest! {
    #[test]
    fn changed_bytes_are_refused(at in 0..700_usize, bit in 0..8_u8) {
        let record = sealed(record(2));
        let mut bytes = record.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(DeviceRecord::open(&bytes, &key(1).id(), &group(), NOW).is_err());
    }

    #[test]
    fn any_payload_is_read_without_harm(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        // Signed rightly all the way: what a device of the group that means harm can do.
        let place = group().record(&key(1).id());
        let times = Times::starting(NOW, 0);
        let signature = key(1).0.sign(&signed(&place.id(), times, KIND_SESSIONS, &payload));
        let whole = [&[KIND_SESSIONS][..], &signature.to_bytes(), &payload].concat();
        for payload in [&payload, &whole] {
            let record = LinkRecord::seal(&place, times, payload, [7; 24]).unwrap();
            let _ = DeviceRecord::open(record.as_bytes(), &key(1).id(), &group(), NOW);
        }
    }
}
