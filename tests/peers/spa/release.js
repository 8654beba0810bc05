/** Which build this is. */
export const release = __RELEASE__;
