//! Reads what a built module tells the server's loader, without loading it: a `dlopen` would need
//! the whole server around it.

use super::Result;
use object::{Object, ObjectSegment, ObjectSymbol};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's file in memory.
pub struct Module {
    path: PathBuf,
    data: Vec<u8>,
}

impl Module {
    /// Reads the file and checks that it is an object file.
    pub fn open(path: &Path) -> Result<Self> {
        let data = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let module = Self {
            path: path.to_owned(),
            data,
        };
        module.parse()?;
        Ok(module)
    }

    fn parse(&self) -> Result<object::File<'_>> {
        object::File::parse(&*self.data)
            .map_err(|e| format!("{} is not a shared object: {e}", self.path.display()))
    }

    /// Address and size of an exported symbol.
    fn symbol(&self, name: &str) -> Result<(u64, u64)> {
        self.parse()?
            .dynamic_symbols()
            .find(|s| s.is_definition() && s.name() == Ok(name))
            .map(|s| (s.address(), s.size()))
            .ok_or_else(|| format!("{} has no symbol {name}", self.path.display()))
    }

    /// Size in bytes of an exported variable.
    pub fn size_of(&self, name: &str) -> Result<u64> {
        Ok(self.symbol(name)?.1)
    }

    /// The value of an exported `unsigned int`; what the file has no bytes for starts as 0.
    pub fn number(&self, name: &str) -> Result<u32> {
        let (at, _) = self.symbol(name)?;
        let bytes = self
            .bytes_from(at)?
            .and_then(|b| b.first_chunk::<4>().copied());
        Ok(bytes.map_or(0, u32::from_ne_bytes))
    }

    /// The text that an exported `char *` points to.
    pub fn text(&self, name: &str) -> Result<String> {
        let (at, _) = self.symbol(name)?;
        let broken = || format!("{}: cannot follow the pointer {name}", self.path.display());
        let target = self.pointer_at(at)?.ok_or_else(broken)?;
        let bytes = self.bytes_from(target)?.ok_or_else(broken)?;
        let end = bytes.iter().position(|&b| b == 0).ok_or_else(broken)?;
        let text = bytes.get(..end).ok_or_else(broken)?;
        String::from_utf8(text.to_vec()).map_err(|_| broken())
    }

    /// The pointer stored at `at`. In a position-independent file its value is the addend of the
    /// relocation for that place; else the bytes there.
    fn pointer_at(&self, at: u64) -> Result<Option<u64>> {
        let file = self.parse()?;
        let addend = file
            .dynamic_relocations()
            .and_then(|mut all| all.find(|(place, _)| *place == at))
            .and_then(|(_, r)| u64::try_from(r.addend()).ok())
            .filter(|&a| a != 0);
        if addend.is_some() {
            return Ok(addend);
        }
        let bytes = self
            .bytes_from(at)?
            .and_then(|b| b.first_chunk::<8>().copied());
        Ok(bytes.map(u64::from_ne_bytes))
    }

    /// The file's bytes from a virtual address to the end of its segment.
    fn bytes_from(&self, at: u64) -> Result<Option<Vec<u8>>> {
        for segment in self.parse()?.segments() {
            let Some(offset) = at.checked_sub(segment.address()) else {
                continue;
            };
            let data = segment
                .data()
                .map_err(|e| format!("{}: {e}", self.path.display()))?;
            let found = usize::try_from(offset).ok().and_then(|o| data.get(o..));
            if let Some(bytes) = found.filter(|b| !b.is_empty()) {
                return Ok(Some(bytes.to_vec()));
            }
        }
        Ok(None)
    }
}
