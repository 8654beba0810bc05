import { createHash } from 'node:crypto';

import { settings } from './settings.js';

export const MAX_UPLOAD_BYTES = 64 * 1024 ** 2;

export function describeUpload(name: string, content: Buffer) {
  return {
    instance: settings.instance,
    name,
    size: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  };
}
