//! What a device leaves for the others of its group: as the service gives it, and, signed rightly all
//! the way to its content, as a device of the group can.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_proto::{
    LinkRecord, Times,
    device::{DeviceKey, DeviceRecord, Group, GroupSecret, Rotation},
};

const NOW: u64 = 1_777_636_807_000;

fuzz_target!(|bytes: &[u8]| {
    let (key, other) = (DeviceKey::from_bytes(&[1; 32]), DeviceKey::from_bytes(&[2; 32]));
    let group = GroupSecret::from_bytes([9; 32]);
    if let Some(joined) = Group::welcomed(bytes, &other.id())
        && joined.has_room()
    {
        let again = Group::welcomed(&joined.welcome().unwrap(), &other.id());
        assert_eq!(again.map(|again| again.secret().clone()), Some(joined.secret().clone()));
    }
    let times = Times::starting(NOW, 0);
    let place = group.record(&key.id());
    let sealed = LinkRecord::seal(&place, times, bytes, [4; 24]);
    for bytes in [Some(bytes), sealed.as_ref().ok().map(LinkRecord::as_bytes)].into_iter().flatten() {
        assert!(DeviceRecord::open(bytes, &key.id(), &group, NOW).is_err());
        assert!(Rotation::open(bytes, &other, &key.id(), NOW).is_err());
    }
    if let Ok(record) = postcard::from_bytes::<DeviceRecord>(bytes)
        && let Ok(sealed) = record.clone().seal(&key, &group, times, [4; 24])
    {
        let (_, read) = DeviceRecord::open(sealed.as_bytes(), &key.id(), &group, NOW).unwrap();
        assert_eq!((&read.name, &read.members), (&record.name, &record.members));
        assert!(record.sessions.starts_with(&read.sessions));
    }
    if let Ok(rotation) = postcard::from_bytes::<Rotation>(bytes)
        && let Ok(sealed) = rotation.seal(&key, &other.id(), times, [4; 24])
    {
        let (_, read) = Rotation::open(sealed.as_bytes(), &other, &key.id(), NOW).unwrap();
        assert_eq!(read, rotation);
    }
});
