//! Bundles, up to what git is given of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_bundle::{BundleReader, Part};

fuzz_target!(|bytes: &[u8]| {
    let mut bundle = b"PILLION-BUNDLE 1\n".to_vec();
    bundle.extend_from_slice(bytes);
    for bytes in [bytes, &bundle[..]] {
        let Ok(mut reader) = BundleReader::begin(bytes) else {
            continue;
        };
        let _ = reader.manifest();
        while let Ok(part) = reader.next_part() {
            if part == Part::End {
                break;
            }
        }
    }
});
