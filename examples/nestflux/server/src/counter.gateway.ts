import type { OnModuleDestroy } from '@nestjs/common';
import { ConnectedSocket, MessageBody, type OnGatewayInit, SubscribeMessage, WebSocketGateway, WebSocketServer } from '@nestjs/websockets';
import type { Server, Socket } from 'socket.io';

import { settings } from './settings.js';

/** A counter that grows each second and by every visitor's click; each instance has its own. */
@WebSocketGateway()
export class CounterGateway implements OnGatewayInit, OnModuleDestroy {
  @WebSocketServer()
  private readonly server!: Server;

  private value = 0;
  private ticks?: NodeJS.Timeout;

  afterInit() {
    this.ticks = setInterval(() => this.advance(), 1_000);
  }

  onModuleDestroy() {
    clearInterval(this.ticks);
  }

  @SubscribeMessage('increment')
  increment() {
    this.advance();
  }

  @SubscribeMessage('ping')
  ping(@MessageBody() payload: unknown, @ConnectedSocket() socket: Socket) {
    const data = { instance: settings.instance, transport: socket.conn.transport.name, payload };
    return { event: 'pong', data };
  }

  private advance() {
    this.value += 1;
    this.server.emit('count', { value: this.value, instance: settings.instance });
  }
}
