package live.marquee.backends;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.index.mapper.MapperExtrasPlugin;
import org.elasticsearch.join.ParentJoinPlugin;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.reindex.ReindexPlugin;
import org.elasticsearch.script.mustache.MustachePlugin;
import org.elasticsearch.transport.Netty4Plugin;

/**
 * One node of Elasticsearch 7 in this JVM: {@code Node <folder> <port for clients> <port for nodes>}. The published artifacts hold
 * the server and these modules, but not its launcher.
 */
public final class Node extends org.elasticsearch.node.Node {
    private static final String NAME = "marquee-1";

    private Node(Environment environment, Collection<Class<? extends Plugin>> plugins) {
        super(environment, plugins, true);
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        for (String name : List.of("config", "data", "logs", "tmp")) {
            Files.createDirectories(folder.resolve(name));
        }
        System.setProperty("java.io.tmpdir", folder.resolve("tmp").toString());
        Settings settings = Settings.builder()
            .put("path.home", folder.toString())
            .put("path.data", folder.resolve("data").toString())
            .put("path.logs", folder.resolve("logs").toString())
            .put("cluster.name", "marquee")
            .put("node.name", NAME)
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", arguments[2])
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // A developer's disk is often fuller than a server's may be.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), folder.resolve("config"), () -> NAME);
        LogConfigurator.setNodeName(NAME);
        Node node = new Node(
            environment,
            List.of(
                Netty4Plugin.class,
                ReindexPlugin.class,
                MapperExtrasPlugin.class,
                ParentJoinPlugin.class,
                MustachePlugin.class,
                Analysis.class
            )
        );
        try {
            node.start();
        } catch (Throwable e) {
            // Its other threads would keep a node alive that serves nobody (a port that was taken).
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        Thread.currentThread().join();
    }
}
