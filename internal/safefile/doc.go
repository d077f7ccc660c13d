// Package safefile writes files and folders where a user wants them, who may be root, in folders that others may write
// into.
//
// A path is walked component by component. A symbolic link is followed only if nobody else can have put it there: it
// belongs to the user or root, in a folder that does too and is not open to all (/tmp counts as not open: there, only the
// owner of a name can move it). The last folder is held open, and what is written is made in a private folder inside it,
// from which it is renamed: as a whole or not at all, never through what stands at the name, and with the permissions and
// the owner of what it replaces. Under sudo, what is new belongs to the user who called it. What belongs to anybody else
// is not replaced.
//
// The private folder is named .ctsim-*, has mode 0700, is locked by its maker and holds a file whose name says the folder's
// inode. What a killed process has left of it is taken away by the next one that writes there: only such a folder, and only
// one that nobody has locked.
package safefile
