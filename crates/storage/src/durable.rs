//! What it takes on a file system for a change to survive power loss.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the creation, renaming and deletion of files in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The same for `dir` and every folder above it up to and including `root`, whichever of them are new.
pub(crate) fn sync_dirs_up_to(dir: &Path, root: &Path) -> io::Result<()> {
    for folder in dir.ancestors().take_while(|folder| folder.starts_with(root)) {
        sync_dir(folder)?;
    }
    Ok(())
}
