//! Says whether state can be kept, without keeping any.

use std::io::ErrorKind;
use std::path::Path;

use super::{Folder, StateError, full, identity, trust};
use crate::whole_file::Draft;

impl Folder {
    /// Checks what a start would find out: whether the folder is ours, or can be made, and can be written to.
    pub fn check(&self) -> Result<(), StateError> {
        self.usable().map_err(|error| self.cannot_keep(&error))
    }

    fn usable(&self) -> anyhow::Result<()> {
        self.refuse_git()?;
        let folder = match trust::inspect_folder(&self.path) {
            Ok(_) => {
                identity::refuse_foreign(&self.path)?;
                self.path.clone()
            }
            // It would be made there.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let above = full(&self.path).unwrap_or_else(|| self.path.clone());
                above.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned()
            }
            Err(error) => return Err(error.into()),
        };
        Draft::private(&folder.join("any"))?;
        Ok(())
    }
}
