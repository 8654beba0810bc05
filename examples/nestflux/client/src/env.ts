declare global {
  interface Window {
    /** Set by the page where whoever serves it fills it in, so that one build serves every stage. */
    __ENV__?: Record<string, string | undefined>;
  }
}

const given: Record<string, string | undefined> = { ...import.meta.env, ...window.__ENV__ };

/** Where the API is; without a slash at its end. */
export const apiUrl = given.PUBLIC_API_URL ?? '/api';

/** What this release is called, if it was told. */
export const release = given.PUBLIC_RELEASE;
