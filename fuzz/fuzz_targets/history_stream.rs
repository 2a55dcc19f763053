//! A history stream: the request as a host reads it, the reply and its lines as a viewer does.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_proto::{Framer, HistoryReply, HistoryRequest, limits::MAX_HISTORY_MESSAGE};
use pillion_screen::{
    LineId, Run,
    history::{MAX_DECODED, MAX_RECORD_CELLS},
    transfer,
    width::text_columns,
};

fuzz_target!(|bytes: &[u8]| {
    let mut framer = Framer::new(MAX_HISTORY_MESSAGE);
    framer.push(bytes);
    while let Ok(Some((tag, payload))) = framer.next_message() {
        let _ = HistoryRequest::decode(tag, &payload);
        if let Ok(reply) = HistoryReply::decode(tag, &payload)
            && let Ok(lines) = transfer::unpack(LineId(reply.first), reply.count, &reply.payload)
        {
            assert_eq!(lines.len(), reply.count as usize);
            let runs = lines.iter().flat_map(|line| &line.runs);
            let memory: usize = runs.map(|run| size_of::<Run>() + run.text.len()).sum();
            assert!(memory <= MAX_DECODED);
            assert!(lines.iter().all(|line| text_columns(&line.text()) <= MAX_RECORD_CELLS));
        }
    }
    let _ = transfer::unpack(LineId(0), 10, bytes);
});
