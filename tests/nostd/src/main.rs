//! Links the core without the standard library. If anything in its tree needs std, linking ends
//! with a duplicate `panic_impl`. Run, it drives the core a little and exits with 0.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;
use core::{
    alloc::{GlobalAlloc, Layout},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use samanea_core::base::{Choice, Instant, Seeded, Serial, Site, Supply};

#[link(name = "c")]
unsafe extern "C" {}

/// Bytes that the allocator has to give; never given back.
const HEAP_BYTES: usize = 1 << 20;

/// Gives memory in rising order and takes none back.
struct Bump;

static mut HEAP: [u8; HEAP_BYTES] = [0; HEAP_BYTES];
static USED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: one thread; ranges never overlap because `USED` only rises.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = (&raw mut HEAP).cast::<u8>();
        let free = base as usize + USED.load(Ordering::Relaxed);
        let start = free.next_multiple_of(layout.align()) - base as usize;
        let Some(end) = start.checked_add(layout.size()).filter(|end| *end <= HEAP_BYTES) else {
            return ptr::null_mut();
        };
        USED.store(end, Ordering::Relaxed);
        // SAFETY: `start..end` is inside `HEAP`.
        unsafe { base.add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The prebuilt `alloc` refers to it; nothing unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

/// Called by the C start-up code.
#[unsafe(no_mangle)]
pub extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
    let mut serials = Supply::<Serial>::default();
    let mut choice = Seeded::new(1);
    let mut drawn = Vec::new();
    for _ in 0..8 {
        drawn.push(choice.below(Site::COOKIE, serials.take().0, 1 << 16));
    }
    let now = Instant::from_millis(1).after(core::time::Duration::from_micros(1));
    i32::from(serials.taken() != 8 || drawn.len() != 8 || now.as_micros() != 1_001)
}
