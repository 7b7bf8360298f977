//! Assembly of this program that runs in stubs.

/// What lies between two symbols of this program, and at `at` in every stub.
pub struct Image {
    begin: *const u8,
    end: *const u8,
    at: u64,
}

impl Image {
    /// The image from `begin` to `end`.
    ///
    /// # Safety
    /// Both delimit one read-only object of this program, `end` behind `begin`.
    pub const unsafe fn new(begin: *const u8, end: *const u8, at: u64) -> Self {
        Self { begin, end, at }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &'static [u8] {
        // SAFETY: what `new` was promised.
        unsafe { std::slice::from_raw_parts(self.begin, self.end.addr() - self.begin.addr()) }
    }

    /// Where a symbol of it lies in every stub.
    pub fn address_of(&self, symbol: *const u8) -> u64 {
        self.at + (symbol.addr() - self.begin.addr()) as u64
    }
}
