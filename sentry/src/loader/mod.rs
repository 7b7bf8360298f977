//! Programs: from a path to mapped segments and a stack (execve(2), elf(5)).
//!
//! [`prepare`] finds and checks everything that execve can refuse; [`load`] then fills an empty address space.

pub mod elf;
pub mod stack;
pub mod vdso;

use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::mman::MapFlags;
use moat_abi::mount::MountFlags;
use moat_abi::stat::{FileType, S_ISGID, S_ISUID};

use moat_platform::Protection;

use crate::Result;
use crate::fs::permission::{self, Access};
use crate::fs::write_access::DenyWrite;
use crate::fs::{OpenFile, Path, walk};
use crate::kernel::Task;
use crate::kernel::credentials::Credentials;
use crate::mm::map::{MapLimits, MapRequest};
use crate::mm::{MemoryManager, page_round_up};
use elf::Image;
use vdso::Vdso;

/// The most bytes of arguments and environment (`MAX_ARG_STRLEN` times…, a quarter of the stack, at most 6 MiB).
pub const ARGUMENTS_MAX: usize = 2 << 20;
/// The longest single string.
pub const STRING_MAX: usize = 128 << 10;
/// How many interpreters a script may go through.
const SCRIPTS_MAX: usize = 5;
/// How much of a file is looked at to tell what it is.
const HEAD: usize = 256;

/// A file that a process runs.
pub struct Executable {
    /// Where it lies.
    pub path: Path,
    _denied: DenyWrite,
}

/// A program that was found fit to run.
pub struct Program {
    /// Its file.
    pub executable: Arc<Executable>,
    /// Its image.
    image: Image,
    /// The dynamic linker, if it asks for one; nobody writes to it meanwhile.
    interpreter: Option<(Image, DenyWrite)>,
    /// argv.
    pub arguments: Vec<Vec<u8>>,
    /// envp.
    pub environment: Vec<Vec<u8>>,
    /// The path that execve was given (AT_EXECFN).
    pub file_name: Vec<u8>,
    /// `comm`.
    pub name: Vec<u8>,
    /// The credentials to run with.
    pub credentials: Credentials,
    /// Whether it gains privileges (AT_SECURE).
    pub secure: bool,
    /// The stack limit.
    pub stack_limit: u64,
    /// The vDSO.
    pub vdso: Vdso,
}

/// Where a program begins.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// First instruction.
    pub instruction: u64,
    /// First stack pointer.
    pub stack: u64,
}

/// Opens a file for execution: a regular file that the caller may execute, on a mount that lets programs run, and that
/// nobody writes to for as long.
fn open_executable(task: &Task, path: &Path) -> Result<(Arc<OpenFile>, DenyWrite)> {
    let inode = path.inode()?;
    match inode.file_type() {
        FileType::Regular => {}
        FileType::Symlink => return Err(Errno::ELOOP),
        _ => return Err(Errno::EACCES),
    }
    if path.mount.flags().contains(MountFlags::NOEXEC) {
        return Err(Errno::EACCES);
    }
    let attributes = inode.attributes()?;
    permission::check_attributes(&attributes, &task.credentials(), Access::EXECUTE)?;
    let denied = DenyWrite::get(&attributes)?;
    let operations = inode.clone().open(OpenFlags::empty())?;
    Ok((OpenFile::new(operations, Some(path.clone()), OpenFlags::empty()), denied))
}

fn read_head(file: &Arc<OpenFile>, buf: &mut [u8], offset: u64) -> Result<usize> {
    let operations = file.operations()?;
    let mut done = 0;
    while done < buf.len() {
        match operations.read_at(file, &mut buf[done..], offset + done as u64)? {
            0 => break,
            n => done += n,
        }
    }
    Ok(done)
}

/// Finds out what `path` is and whether it can be run with these arguments; follows scripts to their interpreters.
pub fn prepare(
    task: &Task,
    path: Path,
    file_name: Vec<u8>,
    mut arguments: Vec<Vec<u8>>,
    environment: Vec<Vec<u8>>,
) -> Result<Program> {
    let mut path = path;
    let mut shown = file_name.clone();
    let name = file_name.rsplit(|&b| b == b'/').next().unwrap_or(&file_name).to_vec();
    let (credentials, secure) = credentials_for(task, &path)?;
    // The scripts, and then the program that runs them.
    for _ in 0..=SCRIPTS_MAX {
        let (file, denied) = open_executable(task, &path)?;
        let mut head = [0u8; HEAD];
        let n = read_head(&file, &mut head, 0)?;
        let head = &head[..n];
        if !head.starts_with(b"#!") {
            let image = elf::open(&file)?;
            let interpreter = match &image.interpreter {
                Some(name) => {
                    let found = walk::resolve(task, &task.fs().root(), name, true)?;
                    let (file, denied) = open_executable(task, &found)?;
                    let image = elf::open(&file).map_err(|_| Errno::ELIBBAD)?;
                    Some((image, denied))
                }
                None => None,
            };
            let total: usize = arguments.iter().chain(&environment).map(|s| s.len() + 9).sum();
            let stack_limit = task.group_ref().limit(moat_abi::resource::Resource::Stack);
            if total > ARGUMENTS_MAX.min((stack_limit / 4).max(128 << 10) as usize) {
                return Err(Errno::E2BIG);
            }
            return Ok(Program {
                executable: Arc::new(Executable { path, _denied: denied }),
                image,
                interpreter,
                arguments,
                environment,
                file_name,
                name,
                credentials,
                secure,
                stack_limit,
                vdso: task.kernel().vdso().clone(),
            });
        }
        let (interpreter, argument) = parse_script(head)?;
        let mut new = vec![interpreter.clone()];
        new.extend(argument);
        new.push(shown);
        new.extend(arguments.into_iter().skip(1));
        arguments = new;
        let base = if interpreter.starts_with(b"/") { task.fs().root() } else { task.fs().directory() };
        path = walk::resolve(task, &base, &interpreter, true)?;
        shown = interpreter;
    }
    Err(Errno::ELOOP)
}

/// `#!interpreter [argument]`, up to the end of the line. `ENOEXEC` if the interpreter's name is cut off.
fn parse_script(head: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let line = match head.iter().position(|&b| b == b'\n') {
        Some(end) => &head[2..end],
        // Without an end of line the interpreter must at least be followed by a blank, or the file end here.
        None if head.len() < HEAD || head[2..].trim_ascii_start().iter().any(|&b| b == b' ' || b == b'\t') => {
            &head[2..]
        }
        None => return Err(Errno::ENOEXEC),
    };
    let blank = line.trim_ascii().is_empty();
    let line = line.split(|&b| b == 0).next().unwrap_or(line).trim_ascii();
    if line.is_empty() {
        // Linux reads on behind the end of a file without an end of line, and finds an empty name there, which is that
        // of the working directory.
        return Err(if blank && head.contains(&b'\n') { Errno::ENOEXEC } else { Errno::EACCES });
    }
    match line.iter().position(|&b| b == b' ' || b == b'\t') {
        Some(end) => Ok((line[..end].to_vec(), Some(line[end..].trim_ascii().to_vec()))),
        None => Ok((line.to_vec(), None)),
    }
}

/// What set-id bits make of the caller's credentials.
fn credentials_for(task: &Task, path: &Path) -> Result<(Credentials, bool)> {
    let own = task.credentials();
    let attributes = path.inode()?.attributes()?;
    let no_new_privileges = task.no_new_privileges.load(std::sync::atomic::Ordering::Relaxed);
    let honoured = !no_new_privileges && !path.mount.flags().contains(MountFlags::NOSUID);
    let mode = attributes.mode.permissions();
    let set_uid = (honoured && mode & S_ISUID != 0).then_some(attributes.uid);
    let set_gid = (honoured && mode & S_ISGID != 0 && mode & 0o010 != 0).then_some(attributes.gid);
    Ok(own.after_exec(set_uid, set_gid))
}

/// Maps the program into an empty address space and builds its stack.
pub async fn load(memory: &MemoryManager, program: &Program) -> Result<Entry> {
    let image = elf::map(memory, &program.image, elf::Role::Program).await?;
    let interpreter = match &program.interpreter {
        Some((interpreter, _)) => Some(elf::map(memory, interpreter, elf::Role::Interpreter).await?),
        None => None,
    };
    let request = MapRequest {
        address: 0,
        len: program.vdso.len,
        protection: Protection::READ | Protection::EXEC,
        flags: MapFlags::PRIVATE,
        file: Some((program.vdso.file.clone(), 0)),
        label: Some("[vdso]"),
    };
    let vdso = memory.map(request, MapLimits { address_space: u64::MAX, data: u64::MAX }).await?;
    let brk = page_round_up(image.end).ok_or(Errno::ENOMEM)?;
    memory.update_layout(|layout| {
        layout.start_brk = brk;
        layout.brk = brk;
        layout.vdso = vdso;
    });
    let stack = stack::build(memory, program, &image, interpreter.as_ref()).await?;
    Ok(Entry { instruction: interpreter.map_or(image.entry, |i| i.entry), stack })
}
