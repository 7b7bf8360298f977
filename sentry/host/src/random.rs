//! The host's random numbers.

/// Fills `buf` from the host's generator (getrandom(2)).
///
/// # Errors
/// The host's errno.
pub fn fill(buf: &mut [u8]) -> Result<(), i32> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        // SAFETY: fills at most `rest.len()` bytes of `rest`.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(n) => done += n,
            Err(_) => match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                other => return Err(other.unwrap_or(libc::EIO)),
            },
        }
    }
    Ok(())
}
