import { randomUUID } from 'node:crypto';

import { Controller, Get, HttpCode, Post, Req, Res } from '@nestjs/common';

import type { Request, Response } from './http.js';
import { settings } from './settings.js';

@Controller()
export class SessionController {
  /** One cookie for the whole application and one for its `/auth` part only. */
  @Post('login')
  @HttpCode(200)
  login(@Req() request: Request, @Res({ passthrough: true }) response: Response) {
    const rest = `HttpOnly; SameSite=Lax${request.protocol === 'https' ? '; Secure' : ''}`;
    response.header('Set-Cookie', [
      `session=${randomUUID()}; Path=/; ${rest}`,
      `refresh=${randomUUID()}; Path=/auth; ${rest}`,
    ]);
    return { instance: settings.instance, loggedIn: true };
  }

  @Get(['cookies', 'auth/cookies'])
  cookies(@Req() request: Request) {
    const pairs = (request.headers.cookie ?? '').split(';').filter((pair) => pair.includes('='));
    const parse = (pair: string) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1).trim()];
    return { instance: settings.instance, cookies: Object.fromEntries(pairs.map(parse)) };
  }
}
