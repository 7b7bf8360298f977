//! Who may do what to a file: mode bits and capabilities, as `inode_permission` in Linux (path_resolution(7),
//! capabilities(7)).

use std::sync::Arc;

use moat_abi::capability::CapabilitySet;
use moat_abi::errno::Errno;
use moat_abi::stat::FileType;

use super::inode::{Attributes, Inode};
use crate::Result;
use crate::kernel::credentials::Credentials;

/// What is asked for: the bits of `access(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access(pub u32);

impl Access {
    /// `X_OK`: execute a file, search a directory.
    pub const EXECUTE: Self = Self(1);
    /// `W_OK`.
    pub const WRITE: Self = Self(2);
    /// `R_OK`.
    pub const READ: Self = Self(4);

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Whether `who` (by its filesystem ids) may access a file with these attributes. `EACCES`.
pub fn check_attributes(attributes: &Attributes, who: &Credentials, access: Access) -> Result<()> {
    let mode = attributes.mode.permissions();
    let class = if who.fsuid == attributes.uid {
        mode >> 6
    } else if who.is_in_group(attributes.gid) {
        mode >> 3
    } else {
        mode
    };
    if access.0 & !(class & 7) == 0 {
        return Ok(());
    }
    let directory = attributes.mode.file_type() == FileType::Directory;
    let executes = access.0 & Access::EXECUTE.0 != 0;
    if who.has(CapabilitySet::DAC_OVERRIDE) && (directory || !executes || mode & 0o111 != 0) {
        return Ok(());
    }
    let writes = access.0 & Access::WRITE.0 != 0;
    if who.has(CapabilitySet::DAC_READ_SEARCH) && !writes && (directory || !executes) {
        return Ok(());
    }
    Err(Errno::EACCES)
}

/// The same for an inode.
pub fn check(inode: &Arc<dyn Inode>, who: &Credentials, access: Access) -> Result<()> {
    check_attributes(&inode.attributes()?, who, access)
}

/// Whether `who` owns the file or may act as its owner (`CAP_FOWNER`). `EPERM`.
pub fn check_owner(attributes: &Attributes, who: &Credentials) -> Result<()> {
    if who.fsuid == attributes.uid || who.has(CapabilitySet::FOWNER) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Whether a name may be removed from `directory`: write and search permission, and the sticky bit's rule.
pub fn check_remove(directory: &Arc<dyn Inode>, child: &Arc<dyn Inode>, who: &Credentials) -> Result<()> {
    let attributes = directory.attributes()?;
    check_attributes(&attributes, who, Access::WRITE.and(Access::EXECUTE))?;
    if attributes.mode.permissions() & 0o1000 != 0 {
        let child = child.attributes()?;
        if who.fsuid != child.uid && who.fsuid != attributes.uid && !who.has(CapabilitySet::FOWNER) {
            return Err(Errno::EPERM);
        }
    }
    Ok(())
}
