//! TUN devices: a network interface whose packets a program reads and writes.

use std::{fs::OpenOptions, io, os::fd::OwnedFd, os::unix::fs::OpenOptionsExt};

use rustix::{fs::OFlags, ioctl};

/// `TUNSETIFF` of linux/if_tun.h, `_IOW('T', 202, int)`.
const TUNSETIFF: ioctl::Opcode = ioctl::opcode::write::<std::ffi::c_int>(b'T', 202);

/// Packets begin with their IP header (`IFF_TUN`), without four bytes before it (`IFF_NO_PI`).
const FLAGS: i16 = 0x0001 | 0x1000;

/// `struct ifreq` of linux/if.h: a name, and a union of 24 bytes of which the flags are the first two.
#[repr(C)]
struct IfReq {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Makes an interface in the network namespace of the calling thread. It goes when the descriptor is
/// closed. Reads do not wait.
///
/// # Errors
/// Not root, no TUN in this kernel, the name is taken.
pub fn open(name: &str) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open("/dev/net/tun")?;
    let mut request = IfReq {
        name: [0; 16],
        flags: FLAGS,
        rest: [0; 22],
    };
    let room = request.name.len() - 1;
    for (to, from) in request.name[..room].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    attach(&file, request)?;
    Ok(file.into())
}

#[allow(unsafe_code)]
fn attach(file: &std::fs::File, request: IfReq) -> io::Result<()> {
    // SAFETY: TUNSETIFF reads a `struct ifreq`, which IfReq is laid out as, and keeps no pointer to it.
    unsafe {
        ioctl::ioctl(file, ioctl::Setter::<TUNSETIFF, IfReq>::new(request))?;
    }
    Ok(())
}
