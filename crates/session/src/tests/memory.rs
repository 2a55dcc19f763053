//! What is kept in memory however long a session runs, counted byte by byte.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use pillion_proto::TrackId;

use super::harness::World;

/// Counts what each thread has taken and not given back: a world is on one thread.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(size: usize, sign: isize) {
    // Not where a thread is about to end.
    let _ = LIVE.try_with(|live| live.set(live.get() + sign * size.cast_signed()));
}

// SAFETY: each call goes to the system's allocator as it came; counting takes no memory.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn of_tracks_that_came_and_went_nothing_more_is_kept() {
    let mut world = World::shared();
    world.join(10, "anna");
    let mut cycles = |upto: u32| {
        for number in upto - 1_499..=upto {
            let track = world.opens("again");
            assert_eq!(track, TrackId(number));
            world.exits_on(track, 0);
            world.log.clear();
            world.others.clear();
            world.notices.clear();
        }
        world.advance_ms(3_000);
        LIVE.get()
    };
    // So many titles are remembered by then as ever are.
    let before = cycles(1_500);
    cycles(3_000);
    let after = cycles(4_500);
    let grown = after - before;
    // Four bytes for each would be more.
    assert!(grown < 12_000, "{grown} bytes more after 3,000 tracks more");
}
