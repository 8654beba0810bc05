import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

import { Controller, Get, HttpCode, type MessageEvent, type OnModuleDestroy, Post, Query, Req, Sse, StreamableFile } from '@nestjs/common';
import { map, type Observable, Subject, take, takeUntil, timer } from 'rxjs';

import { bounded, nodeRequest, type Request } from './http.js';
import { settings } from './settings.js';

const MAX_WAIT_MS = 30_000;
const MAX_DOWNLOAD_BYTES = 1024 ** 3;

@Controller()
export class StreamController implements OnModuleDestroy {
  private readonly stopped = new Subject<void>();

  /** An endless event stream would keep the server from closing. */
  onModuleDestroy() {
    this.stopped.next();
  }

  @Get('slow')
  async slow(@Query('ms') ms?: string) {
    const waited = bounded(ms, 1_000, MAX_WAIT_MS);
    await sleep(waited);
    return { instance: settings.instance, waited };
  }

  @Sse('events')
  events(@Query('every') every?: string, @Query('count') count?: string): Observable<MessageEvent> {
    const period = Math.max(1, bounded(every, 500, MAX_WAIT_MS));
    return timer(0, period).pipe(
      take(bounded(count, Infinity, Infinity)),
      takeUntil(this.stopped),
      map((tick) => ({ id: String(tick), type: 'tick', data: { tick, instance: settings.instance, at: Date.now() } })),
    );
  }

  /** Byte number i of the body is i modulo 251, so that a client can check what it got. */
  @Get('download')
  download(@Query('bytes') bytes?: string) {
    const length = bounded(bytes, 1024 ** 2, MAX_DOWNLOAD_BYTES);
    return new StreamableFile(Readable.from(pattern(length), { objectMode: false }), {
      type: 'application/octet-stream',
      disposition: 'attachment; filename="nestflux.bin"',
      length,
    });
  }

  /** Expects `Content-Type: application/octet-stream`, which no body parser takes. */
  @Post('raw')
  @HttpCode(200)
  async raw(@Req() request: Request) {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of nodeRequest(request) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      size += chunk.length;
    }
    return { instance: settings.instance, size, sha256: hash.digest('hex') };
  }
}

function* pattern(length: number): Generator<Buffer> {
  const block = Buffer.from(Uint8Array.from({ length: 251 * 256 }, (_, index) => index % 251));
  for (let left = length; left > 0; left -= block.length) {
    yield left < block.length ? block.subarray(0, left) : block;
  }
}
