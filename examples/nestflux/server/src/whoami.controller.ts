import { All, Controller, Get, Req } from '@nestjs/common';

import { nodeRequest, type Request } from './http.js';
import { settings } from './settings.js';

/** Tells what the application sees of a request, which is what a proxy in front must get right. */
@Controller()
export class WhoamiController {
  @Get('whoami')
  whoami(@Req() request: Request) {
    const { ip, protocol, host, hostname, headers } = request;
    const isForwarding = ([name]: [string, unknown]) => /^(x-forwarded-|forwarded$|x-real-ip$)/.test(name);
    return {
      instance: settings.instance,
      ip,
      protocol,
      host,
      hostname,
      secure: protocol === 'https',
      forwarded: Object.fromEntries(Object.entries(headers).filter(isForwarding)),
      requestId: headers['x-request-id'] ?? null,
    };
  }

  @All('echo')
  echo(@Req() request: Request) {
    const { method, url, rawHeaders } = nodeRequest(request);
    return { instance: settings.instance, method, url, rawHeaders };
  }
}
