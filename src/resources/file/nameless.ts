/** What is not as it was of files and folders without a name, which a thaw makes again. */

export const NAMELESS_INODE = "inode numbers and st_ctim of files without a name";

/** What will stand there, nobody knows before. */
export const NAMELESS_LINK =
  "the name that /proc shows for a file or folder without one, when something else stands under that name by now";
