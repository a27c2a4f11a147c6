/**
 * The version of the format, not of the program. Readers refuse what is newer. In a file of its own: whoever only wants
 * to know where things stand in an image need not load what every kind of resource says of itself.
 */
export const FORMAT_VERSION = 2;
