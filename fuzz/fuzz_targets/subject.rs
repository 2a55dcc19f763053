//! Whom a text means, and what a text is taken for that somebody calls themselves: the two never meet but in a name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_people::{Name, SubjectRef, SubjectText, plain_name};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(one) = postcard::from_bytes::<SubjectRef>(bytes) {
        assert_eq!(one.to_string().parse(), Ok(one));
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(SubjectText::One(one)) = text.parse() {
        assert_eq!(one.to_string().parse(), Ok(one));
    }
    let name = Name::of(text);
    assert_eq!(name.as_str().parse(), Ok(SubjectRef::Name(name.clone())));
    assert_eq!(Name::of(name.as_str()), name);
    let plain = plain_name(text);
    assert_eq!(plain_name(&plain), plain);
});
